// Maps of maps with inner maps given in the source. `port_counts` (hash of maps) has one counter table per IP protocol;
// `limits` (array of maps) holds two generations of a table, and `active` says which one counts, so that a whole
// configuration can be exchanged at once.
//
//   bpflab run progs/map_in_map.bpf.o --in capture.pcap
#include "packet.h"

struct ports {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __u16); // destination port, host order
  __type(value, __u64);
} tcp_ports SEC(".maps"), udp_ports SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
  __uint(max_entries, 32);
  __type(key, __u32); // IP protocol
  __array(values, struct ports);
} port_counts SEC(".maps") = {
    .values = {[IPPROTO_TCP] = &tcp_ports, [IPPROTO_UDP] = &udp_ports},
};

struct limit_table {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32); // longest packet that passes, 0 = any
} limits_a SEC(".maps"), limits_b SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 2);
  __type(key, __u32);
  __array(values, struct limit_table);
} limits SEC(".maps") = {
    .values = {&limits_a, &limits_b},
};

__u32 active; // generation of `limits` in force

SEC("xdp")
int map_in_map(struct xdp_md *ctx) {
  void *pos = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  __u32 bytes = end - pos, generation = active & 1, zero = 0;
  void *table = bpf_map_lookup_elem(&limits, &generation);
  __u32 *limit = table ? bpf_map_lookup_elem(table, &zero) : 0;
  if (limit && *limit && bytes > *limit) return XDP_DROP;

  if (take_ethernet(&pos, end) != bpf_htons(ETH_P_IP)) return XDP_PASS;
  struct iphdr *ip = take_ipv4(&pos, end);
  if (!ip) return XDP_PASS;
  __u32 protocol = ip->protocol;
  void *counts = bpf_map_lookup_elem(&port_counts, &protocol);
  struct udphdr *ports = take(&pos, end, sizeof(*ports));
  if (!counts || !ports) return XDP_PASS;

  __u16 port = bpf_ntohs(ports->dest);
  __u64 one = 1, *count = bpf_map_lookup_elem(counts, &port);
  if (count)
    __sync_fetch_and_add(count, 1);
  else
    bpf_map_update_elem(counts, &port, &one, BPF_NOEXIST);
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
