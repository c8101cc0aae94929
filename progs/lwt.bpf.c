// A route's own filter (lightweight tunnel, input side): attached to a route, it sees the packets that take this route,
// from the IP header on and without writing; it counts by TTL and drops what would loop.
//
//   bpflab run progs/lwt.bpf.o --in capture.pcap
#include "packet.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 256); // by TTL
  __type(key, __u32);
  __type(value, __u64);
} ttls SEC(".maps");

SEC("lwt_in")
int lwt(struct __sk_buff *skb) {
  void *pos = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
  struct iphdr *ip = take(&pos, end, sizeof(*ip));
  if (!ip || ip->version != 4) return BPF_OK;
  __u32 ttl = ip->ttl;
  __u64 *count = bpf_map_lookup_elem(&ttls, &ttl);
  if (count) __sync_fetch_and_add(count, 1);
  if (ttl < 2) return BPF_DROP;
  skb->mark = ttl; // the context may be written, the packet not
  skb->cb[0] = skb->len;
  return BPF_OK;
}

char _license[] SEC("license") = "Dual BSD/GPL";
