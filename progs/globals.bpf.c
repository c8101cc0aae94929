// Global variables, which are array maps underneath: `const volatile` ones (.rodata) are settings that loaders patch
// before it loads, initialised ones (.data) are state with a beginning, the others (.bss) start at zero; a section
// with a name (.data.limits) becomes a map of its own.
//
//   bpflab run progs/globals.bpf.o --in capture.pcap
#include <stdbool.h>
#include "packet.h"

const volatile __u32 min_length = 60;
const volatile bool drop_short = false;
const volatile char greeting[] = "globals";

__u32 shortest = 0xffffffff;
__u64 sequence = 1000;

__u64 packets;
__u64 bytes;
struct counter by_length[4]; // < 128, < 512, < 1500, the rest

__u32 length_limits[3] SEC(".data.limits") = {128, 512, 1500};

static volatile __u32 last_length; // static ones work as well

SEC("xdp")
int globals(struct xdp_md *ctx) {
  __u32 length = ctx->data_end - ctx->data;
  packets++;
  bytes += length;
  sequence += greeting[0] == 'g';
  last_length = length;
  if (length < shortest) shortest = length;

  __u32 row = 0;
  for (int i = 0; i < 3; i++) row += length >= length_limits[i];
  by_length[row & 3].packets++;
  by_length[row & 3].bytes += length;
  return drop_short && length < min_length ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
