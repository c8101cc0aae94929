// CO-RE: the loader rewrites offsets, sizes and existence checks to fit the types of the kernel at hand. The types here
// are this file's own short versions (`___lab` is cut off when they are matched), each with only the fields that are
// used, so the object also loads against nothing but its own BTF.
//
//   bpflab inspect progs/core_reads.bpf.o
//   bpflab run progs/core_reads.bpf.o --in capture.pcap
#include <linux/types.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define CORE __attribute__((preserve_access_index))

struct xdp_md___lab {
  __u32 data;
  __u32 data_end;
  __u32 data_meta;
  __u32 ingress_ifindex;
  __u32 rx_queue_index;
} CORE;

struct ethhdr___lab {
  unsigned char h_dest[6];
  unsigned char h_source[6];
  __be16 h_proto;
} CORE;

struct iphdr___lab {
  __u8 ihl : 4, version : 4;
  __u8 tos;
  __be16 tot_len;
  __be16 id;
  __be16 frag_off;
  __u8 ttl;
  __u8 protocol;
  __sum16 check;
  __be32 saddr;
  __be32 daddr;
} CORE;

enum xdp_action___lab { XDP_DROP___lab = 1, XDP_PASS___lab = 2, XDP_REDIRECT___lab = 4 };

struct report {
  __u32 data_bytes, ifindex_at, eth_bytes, proto_at, ip_bytes, ttl_at;
  __u32 has_rx_queue, has_ip_type, has_redirect, redirect;
};

struct report report; // the same for every packet
__u64 ipv4_packets;
__u64 version_sum, ihl_sum;

SEC("xdp")
int core_reads(struct xdp_md___lab *ctx) {
  report.data_bytes = bpf_core_field_size(ctx->data);
  report.ifindex_at = bpf_core_field_offset(struct xdp_md___lab, ingress_ifindex);
  report.eth_bytes = bpf_core_type_size(struct ethhdr___lab);
  report.proto_at = bpf_core_field_offset(struct ethhdr___lab, h_proto);
  report.ip_bytes = bpf_core_type_size(struct iphdr___lab);
  report.ttl_at = bpf_core_field_offset(struct iphdr___lab, ttl);
  report.has_rx_queue = bpf_core_field_exists(ctx->rx_queue_index);
  report.has_ip_type = bpf_core_type_exists(struct iphdr___lab);
  report.has_redirect = bpf_core_enum_value_exists(enum xdp_action___lab, XDP_REDIRECT___lab);
  report.redirect = bpf_core_enum_value(enum xdp_action___lab, XDP_REDIRECT___lab);

  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  struct ethhdr___lab *eth = data;
  if ((void *)(eth + 1) > end || eth->h_proto != bpf_htons(0x0800)) return XDP_PASS___lab;
  struct iphdr___lab *ip = (void *)(eth + 1);
  if ((void *)(ip + 1) > end) return XDP_DROP___lab;
  ipv4_packets++;
  version_sum += BPF_CORE_READ_BITFIELD(ip, version);
  ihl_sum += BPF_CORE_READ_BITFIELD(ip, ihl);
  return ip->ttl > 1 ? XDP_PASS___lab : XDP_DROP___lab;
}

char _license[] SEC("license") = "Dual BSD/GPL";
