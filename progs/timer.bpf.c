// Timers in map values: each flow arms one, each packet pushes it back; when a flow was quiet for the idle time, the
// callback takes it out of the map.
//
//   bpflab run progs/timer.bpf.o --in capture.pcap
#include "packet.h"

#define CLOCK_MONOTONIC 1

struct flow_key {
  __be32 saddr, daddr;
};

struct flow {
  struct bpf_timer timer;
  __u64 packets;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, struct flow_key);
  __type(value, struct flow);
} flows SEC(".maps");

const volatile __u64 idle_ns = 1000000000;

__u64 expired;

static int on_idle(void *map, struct flow_key *key, struct flow *flow) {
  __sync_fetch_and_add(&expired, 1);
  bpf_map_delete_elem(map, key);
  return 0;
}

SEC("xdp")
int timer(struct xdp_md *ctx) {
  void *pos = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  if (take_ethernet(&pos, end) != bpf_htons(ETH_P_IP)) return XDP_PASS;
  struct iphdr *ip = take_ipv4(&pos, end);
  if (!ip) return XDP_DROP;

  struct flow_key key = {ip->saddr, ip->daddr};
  struct flow *flow = bpf_map_lookup_elem(&flows, &key);
  if (!flow) {
    struct flow fresh = {};
    bpf_map_update_elem(&flows, &key, &fresh, BPF_NOEXIST);
    flow = bpf_map_lookup_elem(&flows, &key);
    if (!flow) return XDP_DROP;
    bpf_timer_init(&flow->timer, &flows, CLOCK_MONOTONIC);
    bpf_timer_set_callback(&flow->timer, on_idle);
  }
  __sync_fetch_and_add(&flow->packets, 1);
  bpf_timer_start(&flow->timer, idle_ns, 0);
  return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
