// BPF-to-BPF calls: `static` functions are verified where they are called, global ones once and for any argument; each
// call has its own 512-byte frame, and the callee sees the caller's data only through pointers. Here a checksum goes
// through four frames.
//
//   bpflab run progs/subprogs.bpf.o --in capture.pcap
#include "packet.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 3); // not IPv4, right checksum, wrong checksum
  __type(key, __u32);
  __type(value, __u64);
} results SEC(".maps");

struct header {
  __u16 words[30]; // IPv4 with 40 bytes of options
  __u32 count;
};

static __noinline __u32 add(__u32 sum, __u16 word) {
  sum += word;
  return (sum & 0xffff) + (sum >> 16);
}

static __noinline __u32 sum_words(const struct header *header) {
  __u32 sum = 0;
  for (__u32 i = 0; i < 30; i++) {
    if (i >= header->count) break;
    sum = add(sum, header->words[i]);
  }
  return sum;
}

// Global: the verifier checks it alone and knows of `ctx` only what its type says.
__noinline int ipv4_checksum_right(struct xdp_md *ctx) {
  void *pos = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  struct header header = {};
  if (take_ethernet(&pos, end) != bpf_htons(ETH_P_IP)) return -1;
  struct iphdr *ip = take_ipv4(&pos, end);
  if (!ip) return -1;
  header.count = ip->ihl * 2;
  for (int i = 0; i < 30; i++) {
    __u16 *word = (__u16 *)ip + i;
    if ((void *)(word + 1) > end) break;
    header.words[i] = *word;
  }
  return sum_words(&header) == 0xffff;
}

__noinline int count(__u32 row) {
  __u64 *count = bpf_map_lookup_elem(&results, &row);
  if (!count) return -1;
  __sync_fetch_and_add(count, 1);
  return 0;
}

SEC("xdp")
int subprogs(struct xdp_md *ctx) {
  int right = ipv4_checksum_right(ctx);
  if (count(right < 0 ? 0 : right ? 1 : 2)) return XDP_ABORTED;
  return right == 0 ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
