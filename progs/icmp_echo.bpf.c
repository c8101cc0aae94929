// Answers pings, IPv4 and IPv6, before the stack sees them: swaps the addresses, turns the request into a reply,
// corrects the ICMP checksum by the difference and sends the packet back out (XDP_TX).
//
//   bpflab run progs/icmp_echo.bpf.o --in capture.pcap
#include "packet.h"

#define ICMP_ECHO 8
#define ICMP_ECHOREPLY 0
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY 129

struct icmp_echo {
  __u8 type, code;
  __sum16 check;
  __be16 id, sequence;
};

__u64 replies[2]; // IPv4, IPv6

static __always_inline void set_type(struct icmp_echo *icmp, __u8 type) {
  __u32 sum = (__u16)~icmp->check + (__u16)~bpf_htons(icmp->type << 8) + bpf_htons(type << 8);
  icmp->type = type;
  icmp->check = csum_fold(sum);
}

static __always_inline void swap_macs(struct ethhdr *eth) {
  __u8 mac[ETH_ALEN];
  __builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
  __builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
  __builtin_memcpy(eth->h_source, mac, ETH_ALEN);
}

SEC("xdp")
int icmp_echo(struct xdp_md *ctx) {
  void *pos = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = take(&pos, end, sizeof(*eth));
  if (!eth) return XDP_PASS;

  if (eth->h_proto == bpf_htons(ETH_P_IP)) {
    struct iphdr *ip = take_ipv4(&pos, end);
    if (!ip || ip->protocol != IPPROTO_ICMP || ip->frag_off & IP_FRAGMENT) return XDP_PASS;
    struct icmp_echo *icmp = take(&pos, end, sizeof(*icmp));
    if (!icmp || icmp->type != ICMP_ECHO || icmp->code) return XDP_PASS;
    set_type(icmp, ICMP_ECHOREPLY);
    __be32 addr = ip->daddr; // a swap leaves the IP checksum as it is
    ip->daddr = ip->saddr;
    ip->saddr = addr;
    __sync_fetch_and_add(&replies[0], 1);
  } else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr *ip6 = take(&pos, end, sizeof(*ip6));
    if (!ip6 || ip6->nexthdr != IPPROTO_ICMPV6) return XDP_PASS;
    struct icmp_echo *icmp = take(&pos, end, sizeof(*icmp));
    if (!icmp || icmp->type != ICMPV6_ECHO_REQUEST || icmp->code) return XDP_PASS;
    set_type(icmp, ICMPV6_ECHO_REPLY);
    struct in6_addr addr = ip6->daddr;
    ip6->daddr = ip6->saddr;
    ip6->saddr = addr;
    __sync_fetch_and_add(&replies[1], 1);
  } else {
    return XDP_PASS;
  }
  swap_macs(eth);
  return XDP_TX;
}

char _license[] SEC("license") = "Dual BSD/GPL";
