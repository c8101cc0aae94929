// BENCH(name) makes two XDP programs of work_NAME: NAME runs it once and returns it; NAME_x100 calls it a hundred times
// as a global function and returns the exclusive or, so that one run is long enough to time where a clock or a harness
// counts whole nanoseconds. (weak: the compiler must not think that it knows the function.)
#pragma once
#include "work.h"

#define BENCH(name)                                                                                                    \
  SEC("xdp") int name(struct xdp_md *ctx) {                                                                            \
    return work_##name((u8 *)(long)ctx->data, (u8 *)(long)ctx->data_end);                                              \
  }                                                                                                                    \
  __weak __noinline int name##_body(struct xdp_md *ctx) {                                                              \
    return work_##name((u8 *)(long)ctx->data, (u8 *)(long)ctx->data_end);                                              \
  }                                                                                                                    \
  SEC("xdp") int name##_x100(struct xdp_md *ctx) {                                                                     \
    int result = 0;                                                                                                    \
    for (int i = 0; i < 100; i++) {                                                                                    \
      result ^= name##_body(ctx);                                                                                      \
      barrier_var(result);                                                                                             \
    }                                                                                                                  \
    return result;                                                                                                     \
  }
