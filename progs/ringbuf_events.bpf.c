// Events to user space through a ring buffer, in its three forms: reserve, fill in place and submit; reserve and
// discard, when it turns out that there is nothing to say; output, which copies a record that exists already.
//
//   bpflab run progs/ringbuf_events.bpf.o --event events=event --in capture.pcap
#include "packet.h"

enum kind { TCP_OPEN = 1, TCP_CLOSE, OVERSIZED };

struct event {
  __u32 kind;
  __be32 saddr, daddr;
  __be16 source, dest;
  __u32 length;
};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 64 * 1024);
} events SEC(".maps");

__u64 lost; // the ring was full
struct event *event_type; // never used: it puts the type into the BTF, for whoever reads the records

const volatile __u32 max_length = 1500;

SEC("xdp")
int ringbuf_events(struct xdp_md *ctx) {
  void *pos = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  __u32 length = end - pos;
  if (length > max_length) {
    struct event event = {.kind = OVERSIZED, .length = length};
    if (bpf_ringbuf_output(&events, &event, sizeof(event), 0)) __sync_fetch_and_add(&lost, 1);
  }

  if (take_ethernet(&pos, end) != bpf_htons(ETH_P_IP)) return XDP_PASS;
  struct iphdr *ip = take_ipv4(&pos, end);
  if (!ip || ip->protocol != IPPROTO_TCP || ip->frag_off & IP_FRAGMENT) return XDP_PASS;

  struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event) {
    __sync_fetch_and_add(&lost, 1);
    return XDP_PASS;
  }
  event->saddr = ip->saddr;
  event->daddr = ip->daddr;
  event->length = length;
  struct tcphdr *tcp = take(&pos, end, sizeof(*tcp));
  if (!tcp || !(tcp->syn || tcp->fin || tcp->rst)) {
    bpf_ringbuf_discard(event, 0);
    return XDP_PASS;
  }
  event->source = tcp->source;
  event->dest = tcp->dest;
  event->kind = tcp->syn ? TCP_OPEN : TCP_CLOSE;
  bpf_ringbuf_submit(event, 0);
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
