// A router in XDP: asks the kernel's routing and neighbour tables (bpf_fib_lookup), takes one from the TTL, writes the
// MAC addresses of the next hop and redirects to its interface. What the tables cannot answer goes up the stack.
//
//   bpflab run progs/router.bpf.o --in capture.pcap
#include "packet.h"

#define AF_INET 2
#define AF_INET6 10

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 16); // BPF_FIB_LKUP_RET_*
  __type(key, __u32);
  __type(value, __u64);
} answers SEC(".maps");

// RFC 1624 for one from the TTL, which is the high byte of its 16-bit word.
static __always_inline void decrease_ttl(struct iphdr *ip) {
  __u32 check = ip->check;
  check += bpf_htons(0x0100);
  ip->check = check + (check >= 0xffff);
  ip->ttl--;
}

SEC("xdp")
int router(struct xdp_md *ctx) {
  void *pos = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = take(&pos, end, sizeof(*eth));
  if (!eth) return XDP_DROP;

  struct bpf_fib_lookup fib = {.ifindex = ctx->ingress_ifindex};
  struct iphdr *ip = pos;
  struct ipv6hdr *ip6 = pos;
  if (eth->h_proto == bpf_htons(ETH_P_IP)) {
    if ((void *)(ip + 1) > end) return XDP_DROP;
    if (ip->ttl <= 1) return XDP_PASS; // the stack answers with "time exceeded"
    fib.family = AF_INET;
    fib.tos = ip->tos;
    fib.l4_protocol = ip->protocol;
    fib.tot_len = bpf_ntohs(ip->tot_len);
    fib.ipv4_src = ip->saddr;
    fib.ipv4_dst = ip->daddr;
  } else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
    if ((void *)(ip6 + 1) > end) return XDP_DROP;
    if (ip6->hop_limit <= 1) return XDP_PASS;
    fib.family = AF_INET6;
    fib.flowinfo = *(__be32 *)ip6 & bpf_htonl(0x0fffffff);
    fib.l4_protocol = ip6->nexthdr;
    fib.tot_len = bpf_ntohs(ip6->payload_len);
    __builtin_memcpy(fib.ipv6_src, &ip6->saddr, sizeof(fib.ipv6_src));
    __builtin_memcpy(fib.ipv6_dst, &ip6->daddr, sizeof(fib.ipv6_dst));
  } else {
    return XDP_PASS;
  }

  long answer = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
  __u32 row = answer < 0 ? 15 : answer; // 15: the lookup itself was refused
  __u64 *count = bpf_map_lookup_elem(&answers, &row);
  if (count) ++*count;

  switch (answer) {
  case BPF_FIB_LKUP_RET_SUCCESS:
    if (fib.family == AF_INET)
      decrease_ttl(ip);
    else
      ip6->hop_limit--;
    __builtin_memcpy(eth->h_dest, fib.dmac, ETH_ALEN);
    __builtin_memcpy(eth->h_source, fib.smac, ETH_ALEN);
    return bpf_redirect(fib.ifindex, 0);
  case BPF_FIB_LKUP_RET_BLACKHOLE:
  case BPF_FIB_LKUP_RET_UNREACHABLE:
  case BPF_FIB_LKUP_RET_PROHIBIT:
    return XDP_DROP;
  default:
    return XDP_PASS;
  }
}

char _license[] SEC("license") = "GPL";
