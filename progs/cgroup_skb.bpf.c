// Accounting and a port filter for the processes of a cgroup. The packet begins with its IP header here (no Ethernet);
// the return value is 1 for "go on" and 0 for "drop".
//
//   bpflab run progs/cgroup_skb.bpf.o -s cgroup_skb/ingress --in capture.pcap
#include "packet.h"

enum direction { INGRESS, EGRESS, DIRECTIONS };

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, DIRECTIONS);
  __type(key, __u32);
  __type(value, struct counter);
} traffic SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 256);
  __type(key, __u16); // destination port, host order
  __type(value, __u8);
} denied_ports SEC(".maps");

static __always_inline int account(struct __sk_buff *skb, __u32 direction) {
  struct counter *counter = bpf_map_lookup_elem(&traffic, &direction);
  if (!counter) return 0;
  counter->packets++;
  counter->bytes += skb->len;
  return 1;
}

SEC("cgroup_skb/ingress")
int ingress(struct __sk_buff *skb) {
  return account(skb, INGRESS);
}

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *skb) {
  void *pos = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
  if (skb->protocol == bpf_htons(ETH_P_IP)) {
    struct iphdr *ip = take_ipv4(&pos, end);
    if (ip && (ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP) && !(ip->frag_off & IP_FRAGMENT)) {
      struct udphdr *ports = take(&pos, end, sizeof(*ports));
      __u16 port = ports ? bpf_ntohs(ports->dest) : 0;
      if (bpf_map_lookup_elem(&denied_ports, &port)) return 0;
    }
  }
  return account(skb, EGRESS);
}

char _license[] SEC("license") = "Dual BSD/GPL";
