// What cpu v4 adds, in a program that needs signs: sign-extending loads (ldsx) and moves (movsx), signed division and
// remainder (sdiv, smod), an unconditional byte swap (bswap) and a jump with a 32-bit offset (gotol). It tracks how the
// packet length swings around its mean.
//
//   bpflab disasm progs/signed_math.v4.bpf.o
//   bpflab run progs/signed_math.v4.bpf.o --in capture.pcap
#include "packet.h"

struct tracker {
  __s32 mean;      // of the length, in sixteenths
  __s32 deviation; // of a length from the mean, signed, in sixteenths
  __s16 lowest, highest;
  __s8 trend;      // -100 to 100
  __s8 step;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct tracker);
} trackers SEC(".maps");

struct results {
  __s64 quotient, remainder; // of the deviation, towards zero as C has it
  __s32 divisor;
  __s64 wide_quotient;
  __u32 swapped;             // the first four bytes of the packet, turned round
  __u64 swapped_wide;        // the first eight
  __u32 far_jumps;
};

struct results results = {.divisor = 11};

const volatile __s32 weight = -16; // negative, to have a signed divisor

SEC("xdp")
int signed_math(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  if (data + 8 > end) return XDP_DROP;
  __u32 zero = 0;
  struct tracker *t = bpf_map_lookup_elem(&trackers, &zero);
  if (!t) return XDP_ABORTED;

  __s32 length = (end - data) * 16;
  __s32 deviation = length - t->mean;
  t->mean -= deviation / weight; // sdiv, 32 bits
  t->deviation = deviation;

  __s16 sixteenths = deviation; // movsx: only the low half counts
  if (sixteenths < t->lowest) t->lowest = sixteenths; // ldsx
  if (sixteenths > t->highest) t->highest = sixteenths;

  __s8 step = deviation < 0 ? -7 : 7;
  t->step = step;
  __s64 trend = (t->trend * 15 + step * 16) / weight; // ldsx of a byte
  t->trend = -trend;

  results.quotient = deviation / t->step;
  results.remainder = deviation % results.divisor; // smod
  results.wide_quotient = ((__s64)deviation << 32) / weight;
  results.swapped = __builtin_bswap32(*(__u32 *)data);
  results.swapped_wide = __builtin_bswap64(*(__u64 *)data);

  // The compiler itself uses gotol only for jumps of more than 32767 instructions.
  asm goto("gotol %l[far]" ::: : far);
  return XDP_ABORTED;
far:
  results.far_jumps++;
  return deviation > 0 ? XDP_PASS : XDP_TX;
}

char _license[] SEC("license") = "Dual BSD/GPL";
