// Insertion sort of 64 words, the order unknown: Linux's verifier walks it until it has seen a million instructions and
// refuses it (E2BIG). It runs with the verifier off, and it measures a verifier.
//
//   bpflab run progs/bench/isort64.bpf.o --in progs/bench/input.pcap
#include "forms.h"

SEC("xdp")
int isort64(struct xdp_md *ctx) {
  return work_isort64((u8 *)(long)ctx->data, (u8 *)(long)ctx->data_end);
}

char _license[] SEC("license") = "GPL";
