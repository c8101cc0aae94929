// Spreads packets over CPUs by flow: xdp_spread hashes the addresses and ports and redirects into a cpumap, so that a
// flow stays on one CPU; xdp_on_cpu runs there, on the cpumap's own thread, and counts what arrived.
//
//   bpflab run progs/cpumap_spread.bpf.o -s xdp --in capture.pcap
//   bpflab run progs/cpumap_spread.bpf.o -s xdp/cpumap --in capture.pcap
#include "packet.h"

const volatile __u32 cpu_count = 2; // slots of `cpus` in use

struct {
  __uint(type, BPF_MAP_TYPE_CPUMAP);
  __uint(max_entries, 8);
  __type(key, __u32);
  __type(value, struct bpf_cpumap_val); // queue size, and the program that runs there
} cpus SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct counter);
} arrived SEC(".maps");

// Symmetric: both directions of a flow give the same value.
static __always_inline __u32 flow_hash(void *pos, void *end) {
  if (take_ethernet(&pos, end) != bpf_htons(ETH_P_IP)) return 0;
  struct iphdr *ip = take_ipv4(&pos, end);
  if (!ip) return 0;
  __u32 hash = (ip->saddr ^ ip->daddr) + ip->protocol;
  if (ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP) {
    struct udphdr *ports = take(&pos, end, sizeof(*ports));
    if (ports && !(ip->frag_off & IP_FRAGMENT)) hash += ports->source ^ ports->dest;
  }
  hash *= 0x9e3779b1;
  return hash ^ (hash >> 15);
}

SEC("xdp")
int xdp_spread(struct xdp_md *ctx) {
  __u32 count = cpu_count;
  if (!count) return XDP_PASS;
  __u32 cpu = flow_hash((void *)(long)ctx->data, (void *)(long)ctx->data_end) % count;
  return bpf_redirect_map(&cpus, cpu, XDP_PASS);
}

SEC("xdp/cpumap")
int xdp_on_cpu(struct xdp_md *ctx) {
  __u32 zero = 0;
  struct counter *counter = bpf_map_lookup_elem(&arrived, &zero);
  if (!counter) return XDP_DROP;
  counter->packets++;
  counter->bytes += ctx->data_end - ctx->data;
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
