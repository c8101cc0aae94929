// Packets of more than one page: `xdp.frags` says that the program can live with data_end being the end of the first
// buffer only. bpf_xdp_get_buff_len gives the whole length, bpf_xdp_load_bytes and _store_bytes reach into the rest.
//
//   bpflab run progs/frags.bpf.o --in jumbo.pcap
#include "packet.h"

#define CHUNK 64

struct report {
  __u32 length;     // of the last packet
  __u32 linear;     // bytes in the first buffer
  __u32 last_bytes; // its last four bytes
  __u32 error;      // of the last load beyond the end
};

struct report report;
__u64 multi_buffer;

SEC("xdp.frags")
int frags(struct xdp_md *ctx) {
  __u32 length = bpf_xdp_get_buff_len(ctx);
  __u32 linear = ctx->data_end - ctx->data;
  report.length = length;
  report.linear = linear;
  if (length > linear) multi_buffer++;

  __u32 tail = 0;
  if (length < CHUNK || bpf_xdp_load_bytes(ctx, length - sizeof(tail), &tail, sizeof(tail))) return XDP_DROP;
  report.last_bytes = tail;
  report.error = -bpf_xdp_load_bytes(ctx, length - 2, &tail, sizeof(tail)); // EINVAL: crosses the end

  // A sum over the last 64 bytes, written over the last four.
  __u32 words[CHUNK / 4], sum = 0;
  if (bpf_xdp_load_bytes(ctx, length - CHUNK, words, sizeof(words))) return XDP_DROP;
  for (int i = 0; i < CHUNK / 4; i++) sum += words[i];
  if (bpf_xdp_store_bytes(ctx, length - sizeof(sum), &sum, sizeof(sum))) return XDP_DROP;
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
