// Source NAT for TCP and UDP. `snat` gives each inside address and port a port of the outside address, in two hash maps
// (one per direction); `dnat` turns the answers back. Checksums are corrected by the difference alone (bpf_csum_diff),
// so the payload is never read.
//
//   bpflab run progs/nat.bpf.o -s snat --in capture.pcap
#include "packet.h"

const volatile __be32 outside_addr = bpf_htonl(0xc6336401); // 198.51.100.1
const volatile __u16 first_port = 32768;
#define PORTS 16384 // a power of two
#define ATTEMPTS 8

struct endpoint {
  __be32 addr;
  __be16 port;
  __u16 protocol;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, PORTS);
  __type(key, struct endpoint);   // inside
  __type(value, struct endpoint); // outside
} bindings SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, PORTS);
  __type(key, struct endpoint);   // outside
  __type(value, struct endpoint); // inside
} owners SEC(".maps");

struct l4 {
  struct iphdr *ip;
  __be16 *ports; // source, destination
  __sum16 *check;
};

static __always_inline int parse(void *pos, void *end, struct l4 *l4) {
  if (take_ethernet(&pos, end) != bpf_htons(ETH_P_IP)) return 0;
  struct iphdr *ip = take_ipv4(&pos, end);
  if (!ip || ip->frag_off & IP_FRAGMENT) return 0;
  l4->ip = ip;
  l4->ports = pos;
  if (ip->protocol == IPPROTO_TCP) {
    struct tcphdr *tcp = take(&pos, end, sizeof(*tcp));
    if (!tcp) return 0;
    l4->check = &tcp->check;
    return 1;
  }
  if (ip->protocol == IPPROTO_UDP) {
    struct udphdr *udp = take(&pos, end, sizeof(*udp));
    if (!udp) return 0;
    l4->check = &udp->check;
    return 1;
  }
  return 0;
}

// Writes a new address and port and corrects the two checksums that cover them.
static __always_inline void rewrite(struct l4 *l4, __be32 *addr, __be16 *port, const struct endpoint *to) {
  __be32 from_words[2] = {*addr, *port}, to_words[2] = {to->addr, to->port};
  // bpf_csum_diff(from, to, seed): the sum that the field has to take in; ~check is the sum that it stands for
  __u64 ip_sum = bpf_csum_diff(from_words, 4, to_words, 4, (__u16)~l4->ip->check);
  __u64 l4_sum = bpf_csum_diff(from_words, 8, to_words, 8, (__u16)~*l4->check);
  l4->ip->check = csum_fold(ip_sum);
  if (l4->ip->protocol == IPPROTO_TCP) {
    *l4->check = csum_fold(l4_sum);
  } else if (*l4->check) { // UDP: 0 means "no checksum" and stays
    __u16 check = csum_fold(l4_sum);
    *l4->check = check ? check : 0xffff;
  }
  *addr = to->addr;
  *port = to->port;
}

static __always_inline struct endpoint *bind(const struct endpoint *inside) {
  __u32 hash = (inside->addr ^ inside->port * 0x10001) * 0x9e3779b1;
  for (int i = 0; i < ATTEMPTS; i++) {
    struct endpoint outside = {
        .addr = outside_addr,
        .port = bpf_htons(first_port + (((hash >> 16) + i) & (PORTS - 1))),
        .protocol = inside->protocol,
    };
    if (bpf_map_update_elem(&owners, &outside, inside, BPF_NOEXIST)) continue; // taken
    if (bpf_map_update_elem(&bindings, inside, &outside, BPF_NOEXIST)) bpf_map_delete_elem(&owners, &outside);
    return bpf_map_lookup_elem(&bindings, inside);
  }
  return 0;
}

SEC("xdp")
int snat(struct xdp_md *ctx) {
  struct l4 l4;
  if (!parse((void *)(long)ctx->data, (void *)(long)ctx->data_end, &l4)) return XDP_PASS;
  struct endpoint inside = {.addr = l4.ip->saddr, .port = l4.ports[0], .protocol = l4.ip->protocol};
  struct endpoint *outside = bpf_map_lookup_elem(&bindings, &inside);
  if (!outside) outside = bind(&inside);
  if (!outside) return XDP_DROP;
  rewrite(&l4, &l4.ip->saddr, &l4.ports[0], outside);
  return XDP_PASS;
}

SEC("xdp")
int dnat(struct xdp_md *ctx) {
  struct l4 l4;
  if (!parse((void *)(long)ctx->data, (void *)(long)ctx->data_end, &l4)) return XDP_PASS;
  struct endpoint outside = {.addr = l4.ip->daddr, .port = l4.ports[1], .protocol = l4.ip->protocol};
  struct endpoint *inside = bpf_map_lookup_elem(&owners, &outside);
  if (!inside) return XDP_PASS;
  rewrite(&l4, &l4.ip->daddr, &l4.ports[1], inside);
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
