// A stateful XDP firewall: drops sources that lie in a blocked prefix (LPM trie), remembers flows in an LRU hash, lets
// TCP through only where its flow began with a SYN, and counts packets and bytes by reason on each CPU.
//
//   bpflab run progs/firewall.bpf.o --in capture.pcap
//   bpflab run progs/firewall.bpf.o --in capture.pcap --map blocked=blocked.json
#include "packet.h"

enum reason { NOT_IPV4, BLOCKED, NEW_FLOW, KNOWN_FLOW, STRAY_TCP, MALFORMED, REASONS };

struct prefix {
  __u32 bits;
  __be32 addr;
};

struct flow_key {
  __be32 addr[2]; // ascending, so that both directions are one flow
  __be16 port[2];
  __u32 protocol;
};

struct flow {
  __u64 packets;
  __u64 bytes;
};

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, 1024);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct prefix);
  __type(value, __u64); // packets dropped
} blocked SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 4096);
  __type(key, struct flow_key);
  __type(value, struct flow);
} flows SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, REASONS);
  __type(key, __u32);
  __type(value, struct counter);
} reasons SEC(".maps");

static __always_inline int done(enum reason reason, __u64 bytes, int verdict) {
  __u32 key = reason;
  struct counter *counter = bpf_map_lookup_elem(&reasons, &key);
  if (counter) {
    counter->packets++;
    counter->bytes += bytes;
  }
  return verdict;
}

SEC("xdp")
int firewall(struct xdp_md *ctx) {
  void *pos = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  __u64 bytes = end - pos;
  if (take_ethernet(&pos, end) != bpf_htons(ETH_P_IP)) return done(NOT_IPV4, bytes, XDP_PASS);
  struct iphdr *ip = take_ipv4(&pos, end);
  if (!ip) return done(MALFORMED, bytes, XDP_DROP);

  struct prefix source = {.bits = 32, .addr = ip->saddr};
  __u64 *hits = bpf_map_lookup_elem(&blocked, &source);
  if (hits) {
    __sync_fetch_and_add(hits, 1);
    return done(BLOCKED, bytes, XDP_DROP);
  }

  int forward = ip->saddr < ip->daddr;
  struct flow_key key = {
      .addr = {forward ? ip->saddr : ip->daddr, forward ? ip->daddr : ip->saddr},
      .protocol = ip->protocol,
  };
  int opens = 1;
  if ((ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP) && !(ip->frag_off & IP_FRAGMENT)) {
    struct udphdr *ports = take(&pos, end, sizeof(*ports)); // TCP has its ports in the same place
    if (!ports) return done(MALFORMED, bytes, XDP_DROP);
    key.port[0] = forward ? ports->source : ports->dest;
    key.port[1] = forward ? ports->dest : ports->source;
    if (ip->protocol == IPPROTO_TCP) {
      struct tcphdr *tcp = (void *)ports;
      if ((void *)(tcp + 1) > end) return done(MALFORMED, bytes, XDP_DROP);
      opens = tcp->syn && !tcp->ack;
    }
  }

  struct flow *flow = bpf_map_lookup_elem(&flows, &key);
  if (flow) {
    __sync_fetch_and_add(&flow->packets, 1);
    __sync_fetch_and_add(&flow->bytes, bytes);
    return done(KNOWN_FLOW, bytes, XDP_PASS);
  }
  if (!opens) return done(STRAY_TCP, bytes, XDP_DROP);
  struct flow first = {.packets = 1, .bytes = bytes};
  bpf_map_update_elem(&flows, &key, &first, BPF_NOEXIST);
  return done(NEW_FLOW, bytes, XDP_PASS);
}

char _license[] SEC("license") = "Dual BSD/GPL";
