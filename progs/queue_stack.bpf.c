// Maps without keys: a queue hands out ports and takes them back (pop, push), a stack keeps the latest sources and
// pushes out the oldest when it is full (BPF_EXIST), a bloom filter tells whether a source was never seen.
//
//   bpflab run progs/queue_stack.bpf.o --in capture.pcap
#include <stdbool.h>
#include "packet.h"

struct {
  __uint(type, BPF_MAP_TYPE_QUEUE);
  __uint(max_entries, 64);
  __type(value, __u32);
} free_ports SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_STACK);
  __uint(max_entries, 8);
  __type(value, __be32);
} latest SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
  __uint(max_entries, 1024);
  __uint(map_extra, 3); // hash functions
  __type(value, __be32);
} seen SEC(".maps");

__u64 new_sources, ports_given, top_repeats;
bool filled;

SEC("xdp")
int queue_stack(struct xdp_md *ctx) {
  void *pos = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  if (take_ethernet(&pos, end) != bpf_htons(ETH_P_IP)) return XDP_PASS;
  struct iphdr *ip = take_ipv4(&pos, end);
  if (!ip) return XDP_DROP;
  __be32 source = ip->saddr, top = 0;

  if (!filled) { // once: ports 40000 to 40007
    filled = true;
    for (int i = 0; i < 8; i++) {
      __u32 port = 40000 + i; // not the loop's own counter: after the call the verifier knows no bound for it
      bpf_map_push_elem(&free_ports, &port, 0);
    }
  }

  if (!bpf_map_peek_elem(&latest, &top) && top == source) top_repeats++;
  bpf_map_push_elem(&latest, &source, BPF_EXIST);

  if (!bpf_map_peek_elem(&seen, &source)) return XDP_PASS; // probably seen before
  bpf_map_push_elem(&seen, &source, 0);
  new_sources++;
  __u32 port;
  if (bpf_map_pop_elem(&free_ports, &port)) return XDP_DROP; // none left for a new source
  ports_given++;
  if (ip->ttl < 2) bpf_map_push_elem(&free_ports, &port, 0); // it will not come far: give the port back
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
