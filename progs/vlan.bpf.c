// VLAN tags in XDP, where there is no skb->vlan_tci: the tag is bytes in the packet. vlan_push makes room in front and
// moves the MAC addresses forward; vlan_pop moves them back and cuts the room off.
//
//   bpflab run progs/vlan.bpf.o -s vlan_push --in capture.pcap --out tagged.pcapng
//   bpflab run progs/vlan.bpf.o -s vlan_pop --in tagged.pcapng
#include "packet.h"

const volatile __u16 vlan_id = 100;
const volatile __u16 vlan_priority = 0;

struct macs {
  __u8 bytes[2 * ETH_ALEN];
};

SEC("xdp")
int vlan_push(struct xdp_md *ctx) {
  if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct vlan_hdr))) return XDP_ABORTED;
  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  if (data + sizeof(struct ethhdr) + sizeof(struct vlan_hdr) > end) return XDP_ABORTED;

  struct macs macs = *(struct macs *)(data + sizeof(struct vlan_hdr)); // by way of the stack: the places overlap
  *(struct macs *)data = macs;
  struct ethhdr *eth = data;
  eth->h_proto = bpf_htons(ETH_P_8021Q);
  struct vlan_hdr *vlan = (void *)(eth + 1); // its EtherType is already in place
  vlan->tci = bpf_htons((vlan_id & 0x0fff) | vlan_priority << 13);
  return XDP_PASS;
}

SEC("xdp")
int vlan_pop(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  if (data + sizeof(struct ethhdr) + sizeof(struct vlan_hdr) > end) return XDP_PASS;
  struct ethhdr *eth = data;
  if (eth->h_proto != bpf_htons(ETH_P_8021Q) && eth->h_proto != bpf_htons(ETH_P_8021AD)) return XDP_PASS;

  struct macs macs = *(struct macs *)data;
  *(struct macs *)(data + sizeof(struct vlan_hdr)) = macs;
  return bpf_xdp_adjust_head(ctx, sizeof(struct vlan_hdr)) ? XDP_ABORTED : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
