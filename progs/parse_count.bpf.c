// The smallest useful XDP program, and the one to measure speed with: parses Ethernet, VLAN, IPv4 or IPv6 and the TCP
// or UDP header, and counts packets and bytes by protocol in a per-CPU array (row 0: what is not TCP, UDP or ICMP).
//
//   bpflab run progs/parse_count.bpf.o --in capture.pcap
#include "packet.h"

enum row { OTHER, MALFORMED, ICMP4, ICMP6, TCP4, TCP6, UDP4, UDP6, ROWS };

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, ROWS);
  __type(key, __u32);
  __type(value, struct counter);
} protocols SEC(".maps");

static __always_inline enum row classify(void *pos, void *end) {
  __be16 proto = take_ethernet(&pos, end);
  __u8 l4;
  if (proto == bpf_htons(ETH_P_IP)) {
    struct iphdr *ip = take_ipv4(&pos, end);
    if (!ip) return MALFORMED;
    l4 = ip->protocol;
    if (ip->frag_off & bpf_htons(0x1fff)) return OTHER; // a later fragment: no L4 header here
  } else if (proto == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr *ip6 = take(&pos, end, sizeof(*ip6));
    if (!ip6) return MALFORMED;
    l4 = ip6->nexthdr;
  } else {
    return proto ? OTHER : MALFORMED;
  }
  int v6 = proto == bpf_htons(ETH_P_IPV6);
  switch (l4) {
  case IPPROTO_TCP:
    return take(&pos, end, sizeof(struct tcphdr)) ? TCP4 + v6 : MALFORMED;
  case IPPROTO_UDP:
    return take(&pos, end, sizeof(struct udphdr)) ? UDP4 + v6 : MALFORMED;
  case IPPROTO_ICMP:
    return v6 ? OTHER : ICMP4;
  case IPPROTO_ICMPV6:
    return v6 ? ICMP6 : OTHER;
  default:
    return OTHER;
  }
}

SEC("xdp")
int parse_count(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  __u32 row = classify(data, end);
  struct counter *counter = bpf_map_lookup_elem(&protocols, &row);
  if (!counter) return XDP_ABORTED;
  counter->packets++;
  counter->bytes += end - data;
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
