// Packet samples through a perf event array, as capture tools take them: a small record in front, and behind it the
// first bytes of the packet, which the kernel copies itself (the upper half of the flags says how many).
//
//   bpflab run progs/perf_events.bpf.o --event samples=sample --in capture.pcap
#include "packet.h"

struct sample {
  __u32 ifindex;
  __u32 queue;
  __u16 length;
  __u16 captured;
} __attribute__((packed));

struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(__u32));
} samples SEC(".maps");

const volatile __u32 snaplen = 96;
const volatile __u32 every = 1; // one packet of so many

__u32 packets;
__u32 failed;
struct sample *sample_type; // never used: it puts the type into the BTF, for whoever reads the records

SEC("xdp")
int perf_events(struct xdp_md *ctx) {
  __u32 number = __sync_fetch_and_add(&packets, 1);
  if (every && number % every) return XDP_PASS;

  __u32 length = ctx->data_end - ctx->data;
  __u64 captured = length < snaplen ? length : snaplen;
  struct sample sample = {
      .ifindex = ctx->ingress_ifindex,
      .queue = ctx->rx_queue_index,
      .length = length,
      .captured = captured,
  };
  if (bpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU | captured << 32, &sample, sizeof(sample)))
    __sync_fetch_and_add(&failed, 1); // nobody listens on this CPU
  return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
