// Map access, for measuring: every program parses the 5-tuple and uses one map, a hundred times in one run, and returns
// the hundredth part of the verdicts' sum. `fill` has to run first, once. *_rot programs count packets in bytes 100 to
// 103 of the packet itself and use another key each time; hash_hot uses one key.
//
//   bpflab run progs/bench/maps.bpf.o -s fill --in progs/bench/input.pcap
#include "work.h"

#define ENTRIES 10000
#define ROTATION 8192 // keys that the *_rot programs go through

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 256);
  __type(key, u32);
  __type(value, u64);
} array SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 256);
  __type(key, u32);
  __type(value, u64);
} percpu_array SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 16384);
  __type(key, struct tuple);
  __type(value, u64);
} hash SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 16384);
  __type(key, struct tuple);
  __type(value, u64);
} lru SEC(".maps");

struct prefix {
  u32 bits;
  u8 addr[4];
};

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, 16384);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct prefix);
  __type(value, u64);
} lpm SEC(".maps");

int tail_self33(struct xdp_md *ctx);

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 8);
  __uint(key_size, sizeof(u32)); // no BTF key: the kernel takes none here
  __array(values, int(void *));
} jump SEC(".maps") = {
    .values = {[0] = (void *)&tail_self33},
};

// The 5-tuple of the packet in `t`; leaves where there is none.
#define PARSE                                                                                                          \
  u8 *p = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end;                                                     \
  struct tuple t;                                                                                                      \
  if (parse_tuple(p, end, &t)) return XDP_PASS;                                                                        \
  if (p + 128 > end) return XDP_PASS

static __always_inline u32 rotate(u8 *p) {
  u32 *sequence = (u32 *)(p + 100);
  return (*sequence)++;
}

static __always_inline int add_one(u64 *value) {
  if (!value) return XDP_DROP;
  ++*value;
  return XDP_TX;
}

#define MAP_BENCH(name)                                                                                                \
  __weak __noinline int name##_body(struct xdp_md *ctx);                                                               \
  SEC("xdp") int name(struct xdp_md *ctx) {                                                                            \
    u32 sum = 0;                                                                                                       \
    for (int i = 0; i < 100; i++) {                                                                                    \
      sum += name##_body(ctx);                                                                                         \
      barrier_var(sum);                                                                                                \
    }                                                                                                                  \
    return sum / 100;                                                                                                  \
  }                                                                                                                    \
  __weak __noinline int name##_body(struct xdp_md *ctx)

MAP_BENCH(nothing) {
  return XDP_DROP;
}

MAP_BENCH(parse_only) {
  PARSE;
  return (t.dport & 1) + XDP_PASS;
}

MAP_BENCH(array_add) {
  PARSE;
  u64 *value = bpf_map_lookup_elem(&array, &t.proto);
  if (value) ++*value;
  return XDP_TX;
}

MAP_BENCH(array_atomic) {
  PARSE;
  u64 *value = bpf_map_lookup_elem(&array, &t.proto);
  if (value) __sync_fetch_and_add(value, 1);
  return XDP_TX;
}

MAP_BENCH(percpu_add) {
  PARSE;
  u64 *value = bpf_map_lookup_elem(&percpu_array, &t.proto);
  if (value) ++*value;
  return XDP_TX;
}

MAP_BENCH(hash_hot) {
  PARSE;
  return add_one(bpf_map_lookup_elem(&hash, &t));
}

MAP_BENCH(hash_rot) {
  PARSE;
  t.saddr += rotate(p) & (ROTATION - 1);
  return add_one(bpf_map_lookup_elem(&hash, &t));
}

MAP_BENCH(hash_miss) {
  PARSE;
  t.saddr += rotate(p) & (ROTATION - 1);
  t.daddr++;
  return add_one(bpf_map_lookup_elem(&hash, &t));
}

MAP_BENCH(hash_update) {
  PARSE;
  u32 n = rotate(p);
  u64 value = n;
  t.saddr += n & (ROTATION - 1);
  bpf_map_update_elem(&hash, &t, &value, 0);
  return XDP_TX;
}

MAP_BENCH(lru_rot) {
  PARSE;
  t.saddr += rotate(p) & (ROTATION - 1);
  return add_one(bpf_map_lookup_elem(&lru, &t));
}

MAP_BENCH(lpm_rot) {
  PARSE;
  u32 n = rotate(p);
  struct prefix key = {32, {10, n, n >> 8 & 31, 7}};
  return add_one(bpf_map_lookup_elem(&lpm, &key));
}

MAP_BENCH(ktime) {
  return (bpf_ktime_get_ns() & 1) + XDP_PASS;
}

MAP_BENCH(adjust_head) {
  if (bpf_xdp_adjust_head(ctx, -20)) return XDP_DROP;
  if (bpf_xdp_adjust_head(ctx, 20)) return XDP_DROP;
  return XDP_TX;
}

// Calls itself until the kernel's limit of 33 tail calls ends it.
SEC("xdp")
int tail_self33(struct xdp_md *ctx) {
  bpf_tail_call(ctx, &jump, 0);
  return XDP_TX;
}

SEC("xdp")
int nothing_once(struct xdp_md *ctx) {
  return XDP_DROP;
}

static long fill_flow(u32 i, struct tuple *first) {
  struct tuple key = *first;
  u64 zero = 0;
  key.saddr += i;
  bpf_map_update_elem(&hash, &key, &zero, 0);
  bpf_map_update_elem(&lru, &key, &zero, 0);
  return 0;
}

// 8192 prefixes of 24 bits, 256 of 16 and one of 8.
static long fill_prefix(u32 i, void *unused) {
  struct prefix key = {24, {10, i, i >> 8 & 31, 0}};
  u64 zero = 0;
  bpf_map_update_elem(&lpm, &key, &zero, 0);
  key.addr[2] = 0;
  key.bits = i < 256 ? 16 : 8;
  if (i <= 256) bpf_map_update_elem(&lpm, &key, &zero, 0);
  return 0;
}

SEC("xdp")
int fill(struct xdp_md *ctx) {
  PARSE;
  bpf_loop(ENTRIES, fill_flow, &t, 0);
  bpf_loop(ROTATION, fill_prefix, 0, 0);
  return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
