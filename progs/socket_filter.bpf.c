// A socket filter: its return value is how many bytes of the packet the socket gets, 0 none. Reads the packet with the
// old load instructions (LD_ABS, LD_IND), which need no bounds check: past the end they end the program with 0. Offsets
// from SKF_NET_OFF on count from the IP header, wherever the socket's data begin (packet sockets: at the MAC header).
//
//   bpflab run progs/socket_filter.bpf.o --in capture.pcap
#include <linux/filter.h>
#include "packet.h"

// Their results come in host byte order.
unsigned long long load_byte(void *skb, unsigned long long at) asm("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long at) asm("llvm.bpf.load.half");
unsigned long long load_word(void *skb, unsigned long long at) asm("llvm.bpf.load.word");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __u32); // destination, host order
  __type(value, __u64);
} destinations SEC(".maps");

const volatile __u32 snaplen = 96;

__u32 first_bytes; // of the last packet, where the socket's data begin

SEC("socket")
int socket_filter(struct __sk_buff *skb) {
  first_bytes = load_word(skb, 0);
  if (skb->protocol != bpf_htons(ETH_P_IP)) return 0;
  __u32 destination = load_word(skb, SKF_NET_OFF + 16);
  __u64 one = 1, *count = bpf_map_lookup_elem(&destinations, &destination);
  if (count)
    __sync_fetch_and_add(count, 1);
  else
    bpf_map_update_elem(&destinations, &destination, &one, BPF_NOEXIST);

  if (load_byte(skb, SKF_NET_OFF + 9) != IPPROTO_UDP) return 0xffff;
  __u64 ihl = (load_byte(skb, SKF_NET_OFF) & 15) * 4;
  __u32 port = load_half(skb, SKF_NET_OFF + ihl + 2); // LD_IND: the offset is in a register
  return port == 53 ? 0xffff : snaplen;
}

char _license[] SEC("license") = "Dual BSD/GPL";
