// Loops that the verifier need not unroll: bpf_loop calls a function for each TCP option, bpf_for_each_map_elem calls
// one for each element of a map. A callback that returns 1 ends its loop.
//
//   bpflab run progs/loop_callbacks.bpf.o --in capture.pcap
#include "packet.h"

#define OPTION_BYTES 40

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 256); // by kind of option
  __type(key, __u32);
  __type(value, __u64);
} options SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 64);
  __type(key, __u32); // maximum segment size
  __type(value, __u64);
} segment_sizes SEC(".maps");

__u64 total_options;
__u32 commonest_segment_size;

struct walk {
  __u8 bytes[OPTION_BYTES]; // copied, so that the callback needs no packet pointer
  __u32 length;
  __u32 at;
};

static long one_option(__u32 index, void *data) {
  struct walk *walk = data;
  __u32 at = walk->at;
  if (at >= walk->length || at >= OPTION_BYTES - 4) return 1;
  __u32 kind = walk->bytes[at], length = walk->bytes[at + 1];
  if (kind == 0) return 1; // end of the list
  __u64 *count = bpf_map_lookup_elem(&options, &kind);
  if (count) __sync_fetch_and_add(count, 1);
  if (kind == 1) length = 1; // no operation: the only other kind of one byte
  if (length == 0 || (length == 1 && kind != 1)) return 1;
  if (kind == 2 && length == 4) {
    __u32 size = walk->bytes[at + 2] << 8 | walk->bytes[at + 3];
    __u64 one = 1, *seen = bpf_map_lookup_elem(&segment_sizes, &size);
    if (seen)
      __sync_fetch_and_add(seen, 1);
    else
      bpf_map_update_elem(&segment_sizes, &size, &one, BPF_NOEXIST);
  }
  walk->at = at + length;
  return 0;
}

struct bpf_map; // the kernel's; a callback gets it, and has no need to look in

struct best {
  __u64 count;
  __u32 key;
};

static long compare(struct bpf_map *map, const void *key, void *value, void *data) {
  struct best *best = data;
  __u64 count = *(__u64 *)value;
  __u32 size = *(const __u32 *)key;
  if (count > best->count || (count == best->count && size > best->key)) { // no tie depends on the order of the walk
    best->count = count;
    best->key = size;
  }
  return 0;
}

static long add(struct bpf_map *map, const void *key, void *value, void *data) {
  *(__u64 *)data += *(__u64 *)value;
  return 0;
}

SEC("xdp")
int loop_callbacks(struct xdp_md *ctx) {
  void *pos = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  if (take_ethernet(&pos, end) != bpf_htons(ETH_P_IP)) return XDP_PASS;
  struct iphdr *ip = take_ipv4(&pos, end);
  if (!ip || ip->protocol != IPPROTO_TCP || ip->frag_off & IP_FRAGMENT) return XDP_PASS;
  struct tcphdr *tcp = take(&pos, end, sizeof(*tcp));
  if (!tcp || tcp->doff < 5) return XDP_PASS;

  struct walk walk = {.length = tcp->doff * 4 - sizeof(*tcp)};
  for (int i = 0; i < OPTION_BYTES; i++) {
    __u8 *byte = pos + i;
    if ((void *)(byte + 1) > end) break;
    walk.bytes[i] = *byte;
  }
  bpf_loop(OPTION_BYTES, one_option, &walk, 0);

  struct best best = {};
  bpf_for_each_map_elem(&segment_sizes, compare, &best, 0);
  commonest_segment_size = best.key;
  __u64 total = 0;
  bpf_for_each_map_elem(&options, add, &total, 0);
  total_options = total;
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
