// Redirect through a devmap, with a second program that runs on the way out: xdp_redirect sends every packet to slot 0
// of tx_port; xdp_egress, put beside the device in that slot, writes the source MAC and counts by egress interface.
//
//   bpflab run progs/devmap_egress.bpf.o -s xdp --in capture.pcap
//   bpflab run progs/devmap_egress.bpf.o -s xdp/devmap --in capture.pcap
#include "packet.h"

const volatile __u8 egress_mac[ETH_ALEN] = {0x02, 0, 0, 0, 0, 0x01};

struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP);
  __uint(max_entries, 64);
  __type(key, __u32);
  __type(value, struct bpf_devmap_val); // ifindex, and the program that runs there
} tx_port SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 64);
  __type(key, __u32); // ifindex
  __type(value, __u64);
} sent SEC(".maps");

SEC("xdp")
int xdp_redirect(struct xdp_md *ctx) {
  return bpf_redirect_map(&tx_port, 0, XDP_PASS); // an empty slot lets the packet go up the stack
}

SEC("xdp/devmap")
int xdp_egress(struct xdp_md *ctx) {
  void *pos = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = take(&pos, end, sizeof(*eth));
  if (!eth) return XDP_DROP;
  for (int i = 0; i < ETH_ALEN; i++) eth->h_source[i] = egress_mac[i];

  __u32 ifindex = ctx->egress_ifindex;
  __u64 one = 1, *count = bpf_map_lookup_elem(&sent, &ifindex);
  if (count)
    __sync_fetch_and_add(count, 1);
  else
    bpf_map_update_elem(&sent, &ifindex, &one, BPF_NOEXIST);
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
