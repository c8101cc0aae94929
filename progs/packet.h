// What most of the programs here need of a packet: taking headers off its front, and counting it.
#pragma once
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define IP_FRAGMENT bpf_htons(0x3fff) // MF and the offset: set in every fragment

struct vlan_hdr {
  __be16 tci;
  __be16 proto;
};

struct counter {
  __u64 packets;
  __u64 bytes;
};

// The next `size` bytes at *pos, or NULL where the packet ends before; moves *pos behind them.
static __always_inline void *take(void **pos, void *end, __u64 size) {
  void *header = *pos;
  if (header + size > end) return 0;
  *pos = header + size;
  return header;
}

// Ethernet and up to two VLAN tags; returns the EtherType (network order) of what follows, 0 where it is cut short.
static __always_inline __be16 take_ethernet(void **pos, void *end) {
  struct ethhdr *eth = take(pos, end, sizeof(*eth));
  if (!eth) return 0;
  __be16 proto = eth->h_proto;
  for (int i = 0; i < 2; i++) {
    if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD)) break;
    struct vlan_hdr *vlan = take(pos, end, sizeof(*vlan));
    if (!vlan) return 0;
    proto = vlan->proto;
  }
  return proto;
}

// An IPv4 header with its options.
static __always_inline struct iphdr *take_ipv4(void **pos, void *end) {
  struct iphdr *ip = take(pos, end, sizeof(*ip));
  if (!ip || ip->version != 4 || ip->ihl < 5) return 0;
  if (!take(pos, end, ip->ihl * 4 - sizeof(*ip))) return 0;
  return ip;
}

// Folds a sum of 16-bit words and complements it: the value of a checksum field.
static __always_inline __u16 csum_fold(__u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return ~sum;
}
