// Pacing by earliest departure time: each class (skb->mark, or the DSCP where there is none) has a rate; the program
// gives every packet the time at which it may leave (skb->tstamp) and leaves the waiting to the fq qdisc. Packets that
// would wait too long are dropped. Also sets skb->priority from the map.
//
//   bpflab run progs/tc_edt.bpf.o --in capture.pcap --map classes=classes.json
#include <linux/pkt_cls.h>
#include "packet.h"

#define NSEC_PER_SEC 1000000000ull

struct class {
  __u64 bytes_per_second; // 0: not paced
  __u64 next;             // ns, when the next packet may leave
  __u32 priority;
  __u32 dropped;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 256);
  __type(key, __u32);
  __type(value, struct class);
} classes SEC(".maps");

const volatile __u64 horizon = 2 * NSEC_PER_SEC;
const volatile __u64 default_rate = 125000; // bytes per second for a class that nobody configured; 0 = unlimited

static __always_inline __u32 class_of(struct __sk_buff *skb) {
  if (skb->mark) return skb->mark;
  void *pos = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
  if (take_ethernet(&pos, end) != bpf_htons(ETH_P_IP)) return 0;
  struct iphdr *ip = take_ipv4(&pos, end);
  return ip ? ip->tos >> 2 : 0;
}

SEC("tc")
int edt(struct __sk_buff *skb) {
  __u32 key = class_of(skb);
  struct class *class = bpf_map_lookup_elem(&classes, &key);
  if (!class) {
    struct class fresh = {.bytes_per_second = default_rate};
    bpf_map_update_elem(&classes, &key, &fresh, BPF_NOEXIST);
    class = bpf_map_lookup_elem(&classes, &key);
    if (!class) return TC_ACT_OK;
  }
  skb->mark = key;
  skb->priority = class->priority;
  if (!class->bytes_per_second) return TC_ACT_OK;

  __u64 now = bpf_ktime_get_ns();
  __u64 start = skb->tstamp > now ? skb->tstamp : now;
  __u64 duration = skb->wire_len * NSEC_PER_SEC / class->bytes_per_second;
  __u64 next = class->next;
  if (next <= start) {
    class->next = start + duration;
    return TC_ACT_OK;
  }
  if (next - now >= horizon) {
    class->dropped++;
    return TC_ACT_SHOT;
  }
  class->next = next + duration;
  skb->tstamp = next;
  return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
