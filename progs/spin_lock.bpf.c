// A token bucket per source address: tokens and time change together, so a bpf_spin_lock in the map value guards both.
//
//   bpflab run progs/spin_lock.bpf.o --in capture.pcap --repeat 200
#include "packet.h"

#define NSEC_PER_SEC 1000000000ull

struct bucket {
  struct bpf_spin_lock lock;
  __u32 dropped;
  __u64 tokens; // packets * NSEC_PER_SEC
  __u64 filled; // ns
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __be32);
  __type(value, struct bucket);
} buckets SEC(".maps");

const volatile __u64 packets_per_second = 100;
const volatile __u64 burst = 20; // packets

SEC("xdp")
int spin_lock(struct xdp_md *ctx) {
  void *pos = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  if (take_ethernet(&pos, end) != bpf_htons(ETH_P_IP)) return XDP_PASS;
  struct iphdr *ip = take_ipv4(&pos, end);
  if (!ip) return XDP_DROP;

  __u64 now = bpf_ktime_get_ns();
  __be32 source = ip->saddr;
  struct bucket *bucket = bpf_map_lookup_elem(&buckets, &source);
  if (!bucket) {
    struct bucket full = {.tokens = burst * NSEC_PER_SEC, .filled = now};
    bpf_map_update_elem(&buckets, &source, &full, BPF_NOEXIST);
    bucket = bpf_map_lookup_elem(&buckets, &source);
    if (!bucket) return XDP_DROP;
  }

  int verdict = XDP_DROP;
  bpf_spin_lock(&bucket->lock);
  __u64 tokens = bucket->tokens + (now - bucket->filled) * packets_per_second;
  if (tokens > burst * NSEC_PER_SEC) tokens = burst * NSEC_PER_SEC;
  bucket->filled = now;
  if (tokens >= NSEC_PER_SEC) {
    tokens -= NSEC_PER_SEC;
    verdict = XDP_PASS;
  } else {
    bucket->dropped++;
  }
  bucket->tokens = tokens;
  bpf_spin_unlock(&bucket->lock);
  return verdict;
}

char _license[] SEC("license") = "GPL";
