// An L4 load balancer: looks the destination up among its virtual services, picks a backend by flow hash from a ring in
// which each backend holds many places (one that goes away moves its own flows only), puts an outer IPv4 header in
// front (IPIP) and sends the packet back out. The backend answers the client directly.
//
//   bpflab run progs/l4lb.bpf.o --in capture.pcap --map vips=vips.json --map ring=ring.json --map backends=b.json
#include "packet.h"

#define MAX_VIPS 64
#define RING_SIZE 251 // prime, as table filling algorithms like it

struct vip {
  __be32 addr;
  __be16 port;
  __u16 protocol;
};

struct backend {
  __be32 addr;
  __u8 mac[ETH_ALEN]; // of the next hop towards it
  __u16 enabled;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MAX_VIPS);
  __type(key, struct vip);
  __type(value, __u32); // number of the service: its part of the ring
} vips SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, MAX_VIPS * RING_SIZE);
  __type(key, __u32);
  __type(value, __u32); // index into backends
} ring SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 256);
  __type(key, __u32);
  __type(value, struct backend);
} backends SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, MAX_VIPS);
  __type(key, __u32);
  __type(value, struct counter);
} served SEC(".maps");

const volatile __be32 own_addr = bpf_htonl(0xc0000201); // 192.0.2.1

static __always_inline __u32 hash3(__u32 a, __u32 b, __u32 c) {
  __u32 hash = a * 0x85ebca6b ^ b * 0xc2b2ae35 ^ c * 0x27d4eb2f;
  hash ^= hash >> 16;
  hash *= 0x45d9f3b;
  return hash ^ (hash >> 16);
}

static __always_inline int encapsulate(struct xdp_md *ctx, const struct backend *to, __u8 tos) {
  if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct iphdr))) return XDP_DROP;
  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data, *old = data + sizeof(struct iphdr);
  struct iphdr *ip = (void *)(eth + 1);
  if ((void *)(old + 1) > end || (void *)(ip + 1) > end) return XDP_DROP;

  __builtin_memcpy(eth->h_source, old->h_dest, ETH_ALEN); // old and new header do not overlap: 14 <= 20 bytes
  __builtin_memcpy(eth->h_dest, to->mac, ETH_ALEN);
  eth->h_proto = bpf_htons(ETH_P_IP);

  ip->version = 4;
  ip->ihl = 5;
  ip->tos = tos;
  ip->tot_len = bpf_htons(end - (void *)ip);
  ip->id = 0;
  ip->frag_off = bpf_htons(0x4000); // DF
  ip->ttl = 64;
  ip->protocol = IPPROTO_IPIP;
  ip->check = 0;
  ip->saddr = own_addr;
  ip->daddr = to->addr;
  __u32 sum = 0;
  __u16 *words = (__u16 *)ip;
  for (unsigned i = 0; i < sizeof(*ip) / 2; i++) sum += words[i];
  ip->check = csum_fold(sum);
  return XDP_TX;
}

SEC("xdp")
int l4lb(struct xdp_md *ctx) {
  void *pos = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  __u64 bytes = end - pos;
  struct ethhdr *eth = take(&pos, end, sizeof(*eth));
  if (!eth || eth->h_proto != bpf_htons(ETH_P_IP)) return XDP_PASS;
  struct iphdr *ip = take_ipv4(&pos, end);
  if (!ip || (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)) return XDP_PASS;
  if (ip->frag_off & IP_FRAGMENT) return XDP_DROP; // without ports no service
  struct udphdr *ports = take(&pos, end, sizeof(*ports));
  if (!ports) return XDP_DROP;

  struct vip vip = {.addr = ip->daddr, .port = ports->dest, .protocol = ip->protocol};
  __u32 *service = bpf_map_lookup_elem(&vips, &vip);
  if (!service) return XDP_PASS;

  __u32 hash = hash3(ip->saddr, ports->source << 16 | ports->dest, ip->protocol);
  __u32 place = *service * RING_SIZE + hash % RING_SIZE;
  __u32 *index = bpf_map_lookup_elem(&ring, &place);
  struct backend *backend = index ? bpf_map_lookup_elem(&backends, index) : 0;
  if (!backend || !backend->enabled) return XDP_DROP;

  struct counter *counter = bpf_map_lookup_elem(&served, service);
  if (counter) {
    counter->packets++;
    counter->bytes += bytes;
  }
  return encapsulate(ctx, backend, ip->tos);
}

char _license[] SEC("license") = "Dual BSD/GPL";
