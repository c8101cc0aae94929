// A tc classifier with direct action: its return value is the action. Reads the fields of __sk_buff that tc programs
// live by and the packet itself, drops telnet, sets a class and a mark for the rest, and passes a note in skb->cb.
//
//   bpflab run progs/tc_classify.bpf.o --in capture.pcap
//   bpflab run progs/tc_classify.bpf.o --in capture.pcap --ctx mark=7 --ctx priority=6
#include <linux/pkt_cls.h>
#include "packet.h"

struct seen {
  __u32 len, protocol, mark, priority, vlan_present, vlan_tci, ifindex, ingress_ifindex, queue_mapping, pkt_type;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct seen);
} last SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __u32); // class
  __type(value, struct counter);
} classes SEC(".maps");

static __always_inline void note(struct __sk_buff *skb) {
  __u32 zero = 0;
  struct seen *seen = bpf_map_lookup_elem(&last, &zero);
  if (!seen) return;
  seen->len = skb->len;
  seen->protocol = bpf_ntohs(skb->protocol);
  seen->mark = skb->mark;
  seen->priority = skb->priority;
  seen->vlan_present = skb->vlan_present;
  seen->vlan_tci = skb->vlan_tci;
  seen->ifindex = skb->ifindex;
  seen->ingress_ifindex = skb->ingress_ifindex;
  seen->queue_mapping = skb->queue_mapping;
  seen->pkt_type = skb->pkt_type;
}

static __always_inline void count(__u32 class, __u32 bytes) {
  struct counter *counter = bpf_map_lookup_elem(&classes, &class);
  if (counter) {
    __sync_fetch_and_add(&counter->packets, 1);
    __sync_fetch_and_add(&counter->bytes, bytes);
    return;
  }
  struct counter first = {.packets = 1, .bytes = bytes};
  bpf_map_update_elem(&classes, &class, &first, BPF_NOEXIST);
}

SEC("tc")
int classify(struct __sk_buff *skb) {
  note(skb);
  void *pos = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
  if (take_ethernet(&pos, end) != bpf_htons(ETH_P_IP)) return TC_ACT_UNSPEC; // the next filter decides
  struct iphdr *ip = take_ipv4(&pos, end);
  if (!ip) return TC_ACT_SHOT;

  __u32 class = ip->tos >> 2; // DSCP
  if (ip->protocol == IPPROTO_TCP && !(ip->frag_off & IP_FRAGMENT)) {
    struct tcphdr *tcp = take(&pos, end, sizeof(*tcp));
    if (!tcp || tcp->dest == bpf_htons(23)) return TC_ACT_SHOT;
    if (tcp->dest == bpf_htons(22)) class = 48; // interactive
  }
  skb->tc_classid = 0x10000 | class; // 1:class
  skb->mark = skb->mark ? skb->mark : class;
  skb->cb[0] = class;
  count(class, skb->len);
  return TC_ACT_OK;
}

char _license[] SEC("license") = "Dual BSD/GPL";
