// A chain of tail calls through a program array whose slots are filled at load time (`.values`): the IP protocol number
// is the slot of its handler, and every handler ends in the same last program. An empty slot falls through.
//
//   bpflab run progs/tail_calls.bpf.o -s classify --in capture.pcap
#include "packet.h"

#define LAST 255 // slot of the program that ends every chain; no protocol has this number

int handle_icmp(struct xdp_md *ctx);
int handle_tcp(struct xdp_md *ctx);
int handle_udp(struct xdp_md *ctx);
int last(struct xdp_md *ctx);

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 256);
  __uint(key_size, sizeof(__u32)); // no BTF key: the kernel takes none here
  __array(values, int(void *));
} handlers SEC(".maps") = {
    .values =
        {
            [IPPROTO_ICMP] = (void *)&handle_icmp,
            [IPPROTO_TCP] = (void *)&handle_tcp,
            [IPPROTO_UDP] = (void *)&handle_udp,
            [LAST] = (void *)&last,
        },
};

// What one program tells the next; a tail call keeps the packet and the context, not the stack.
struct chain {
  __u32 verdict;
  __u32 steps;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct chain);
} chains SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 8); // by number of steps
  __type(key, __u32);
  __type(value, __u64);
} lengths SEC(".maps");

static __always_inline int next(struct xdp_md *ctx, __u32 verdict, __u32 slot, int first) {
  __u32 zero = 0;
  struct chain *chain = bpf_map_lookup_elem(&chains, &zero);
  if (!chain) return XDP_ABORTED;
  chain->verdict = verdict;
  chain->steps = first ? 1 : chain->steps + 1;
  bpf_tail_call(ctx, &handlers, slot);
  return XDP_ABORTED; // nobody in the slot
}

SEC("xdp")
int handle_icmp(struct xdp_md *ctx) {
  return next(ctx, ctx->data_end - ctx->data > 1000 ? XDP_DROP : XDP_PASS, LAST, 0);
}

SEC("xdp")
int handle_tcp(struct xdp_md *ctx) {
  return next(ctx, XDP_PASS, LAST, 0);
}

SEC("xdp")
int handle_udp(struct xdp_md *ctx) {
  return next(ctx, XDP_TX, LAST, 0); // sent back, to tell the handlers apart in the verdicts
}

SEC("xdp")
int last(struct xdp_md *ctx) {
  __u32 zero = 0;
  struct chain *chain = bpf_map_lookup_elem(&chains, &zero);
  if (!chain) return XDP_ABORTED;
  __u32 steps = chain->steps + 1;
  __u64 *count = bpf_map_lookup_elem(&lengths, &steps);
  if (count) __sync_fetch_and_add(count, 1);
  return chain->verdict;
}

SEC("xdp")
int classify(struct xdp_md *ctx) {
  void *pos = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  if (take_ethernet(&pos, end) != bpf_htons(ETH_P_IP)) return XDP_PASS;
  struct iphdr *ip = take_ipv4(&pos, end);
  if (!ip) return XDP_DROP;
  return next(ctx, XDP_PASS, ip->protocol == LAST ? 0 : ip->protocol, 1);
}

char _license[] SEC("license") = "Dual BSD/GPL";
