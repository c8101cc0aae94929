// The work of the compute programs: work_NAME(p, end) reads the packet [p, end) and returns a number that depends on
// all that it did. No helper, no map (work_helper16 apart), so that the same instructions run on any BPF machine.
#pragma once
#include "../packet.h"

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#define WORK static __always_inline u64
#define ROLLED _Pragma("clang loop unroll(disable) vectorize(disable)")

static __always_inline u16 ld16(const u8 *p) { return *(const u16 *)p; }
static __always_inline u32 ld32(const u8 *p) { return *(const u32 *)p; }
static __always_inline u64 ld64(const u8 *p) { return *(const u64 *)p; }
static __always_inline void st16(u8 *p, u16 value) { *(u16 *)p = value; }
static __always_inline u32 rol32(u32 x, int r) { return x << r | x >> (32 - r); }
static __always_inline u64 rol64(u64 x, int r) { return x << r | x >> (64 - r); }

// --- parsing

struct tuple {
  u32 saddr, daddr;
  u16 sport, dport;
  u32 proto;
};

// The 5-tuple of an unfragmented TCP or UDP packet over IPv4, with at most one VLAN tag; 0, or what is not so.
static __always_inline int parse_tuple(u8 *p, u8 *end, struct tuple *t) {
  if (p + 14 > end) return -1;
  u16 ethertype = ld16(p + 12);
  if (ethertype == bpf_htons(ETH_P_8021Q)) {
    if (p + 18 > end) return -1;
    ethertype = ld16(p + 16);
    p += 4;
  }
  if (ethertype != bpf_htons(ETH_P_IP)) return -2;
  u8 *ip = p + 14;
  if (ip + 20 > end) return -3;
  if (ip[0] >> 4 != 4) return -4;
  u32 ihl = (ip[0] & 15) * 4;
  if (ihl < 20) return -5;
  if (ld16(ip + 6) & bpf_htons(0x1fff)) return -6;
  if (ip[9] != IPPROTO_UDP && ip[9] != IPPROTO_TCP) return -7;
  t->saddr = ld32(ip + 12);
  t->daddr = ld32(ip + 16);
  t->proto = ip[9];
  u8 *l4 = ip + ihl;
  if (l4 + 8 > end) return -8;
  t->sport = ld16(l4);
  t->dport = ld16(l4 + 2);
  return 0;
}

static __always_inline u32 jhash_final(u32 a, u32 b, u32 c) {
  c ^= b, c -= rol32(b, 14);
  a ^= c, a -= rol32(c, 11);
  b ^= a, b -= rol32(a, 25);
  c ^= b, c -= rol32(b, 16);
  a ^= c, a -= rol32(c, 4);
  b ^= a, b -= rol32(a, 14);
  c ^= b, c -= rol32(b, 24);
  return c;
}

#define JHASH_MIX(a, b, c)                                                                                             \
  (a -= c, a ^= rol32(c, 4), c += b, b -= a, b ^= rol32(a, 6), a += c, c -= b, c ^= rol32(b, 8), b += a, a -= c,       \
   a ^= rol32(c, 16), c += b, b -= a, b ^= rol32(a, 19), a += c, c -= b, c ^= rol32(b, 4), b += a)

WORK work_drop(u8 *p, u8 *end) { return XDP_DROP; }

WORK work_parse5(u8 *p, u8 *end) {
  struct tuple t;
  int err = parse_tuple(p, end, &t);
  if (err) return (u32)err;
  return jhash_final(t.saddr + 0xdeadbef7, t.daddr + 0xdeadbef7, (t.sport | (u32)t.dport << 16) + 0xdeadbef7 + t.proto);
}

// A 5-tuple written to the stack and read back by byte offset.
WORK work_stackcpy(u8 *p, u8 *end) {
  if (p + 42 > end) return 0;
  struct tuple t = {ld32(p + 26), ld32(p + 30), ld16(p + 34), ld16(p + 36), p[23]};
  barrier_var(p);
  volatile struct tuple copy = t; // volatile: the compiler would keep it in registers
  return copy.saddr ^ copy.daddr ^ copy.sport ^ copy.dport ^ copy.proto;
}

// --- checksums

static __always_inline u16 fold16(u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return ~sum;
}

WORK work_ipcsum(u8 *p, u8 *end) {
  if (p + 34 > end) return 0x10000;
  if (ld16(p + 12) != bpf_htons(ETH_P_IP)) return 0x10001;
  u64 sum = 0;
  for (int i = 14; i < 34; i += 4) sum += ld32(p + i);
  return fold16(sum);
}

// 375 words of 4 bytes; the compiler unrolls as it likes.
WORK work_csum1500(u8 *p, u8 *end) {
  if (p + 1500 > end) return 0x10000;
  u64 sum = 0;
  for (int i = 0; i < 1500; i += 4) sum += ld32(p + i);
  return fold16(sum);
}

// 750 words of 2 bytes in the tightest loop.
WORK work_csum750(u8 *p, u8 *end) {
  if (p + 1500 > end) return 0x10000;
  u64 sum = 0;
  ROLLED for (int i = 0; i < 1500; i += 2) sum += ld16(p + i);
  return fold16(sum);
}

// --- hashes and ciphers

// jhash2 over 4 words, as for a flow.
WORK work_jhash16(u8 *p, u8 *end) {
  if (p + 42 > end) return 0;
  u8 *key = p + 26;
  u32 a = 0xdeadbeef + (4 << 2) + 0x1234, b = a, c = a;
  a += ld32(key), b += ld32(key + 4), c += ld32(key + 8);
  JHASH_MIX(a, b, c);
  a += ld32(key + 12);
  return jhash_final(a, b, c);
}

// jhash2 over the first 15 words.
WORK work_jhash60(u8 *p, u8 *end) {
  if (p + 60 > end) return 0;
  u32 a = 0xdeadbeef + (15 << 2), b = a, c = a;
  ROLLED for (int i = 0; i < 48; i += 12) {
    a += ld32(p + i), b += ld32(p + i + 4), c += ld32(p + i + 8);
    JHASH_MIX(a, b, c);
  }
  a += ld32(p + 48), b += ld32(p + 52), c += ld32(p + 56);
  return jhash_final(a, b, c);
}

#define SIP_ROUND                                                                                                      \
  (v0 += v1, v1 = rol64(v1, 13), v1 ^= v0, v0 = rol64(v0, 32), v2 += v3, v3 = rol64(v3, 16), v3 ^= v2, v0 += v3,       \
   v3 = rol64(v3, 21), v3 ^= v0, v2 += v1, v1 = rol64(v1, 17), v1 ^= v2, v2 = rol64(v2, 32))

// SipHash-2-4 over 64 bytes.
WORK work_siphash64(u8 *p, u8 *end) {
  if (p + 64 > end) return 0;
  u64 k0 = 0x0706050403020100, k1 = 0x0f0e0d0c0b0a0908;
  u64 v0 = k0 ^ 0x736f6d6570736575, v1 = k1 ^ 0x646f72616e646f6d;
  u64 v2 = k0 ^ 0x6c7967656e657261, v3 = k1 ^ 0x7465646279746573;
  ROLLED for (int i = 0; i < 64; i += 8) {
    u64 word = ld64(p + i);
    v3 ^= word;
    SIP_ROUND, SIP_ROUND;
    v0 ^= word;
  }
  u64 last = 64ull << 56;
  v3 ^= last;
  SIP_ROUND, SIP_ROUND;
  v0 ^= last;
  v2 ^= 0xff;
  SIP_ROUND, SIP_ROUND, SIP_ROUND, SIP_ROUND;
  return v0 ^ v1 ^ v2 ^ v3;
}

WORK work_fnv256(u8 *p, u8 *end) {
  if (p + 256 > end) return 0;
  u32 hash = 2166136261;
  ROLLED for (int i = 0; i < 256; i++) {
    hash ^= p[i];
    hash *= 16777619;
  }
  return hash;
}

WORK work_xorshift1k(u8 *p, u8 *end) {
  if (p + 16 > end) return 0;
  u64 x = ld64(p) | 1, sum = 0;
  ROLLED for (int i = 0; i < 1000; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    sum += x;
  }
  return sum;
}

#define QUARTER_ROUND(a, b, c, d)                                                                                      \
  (a += b, d ^= a, d = rol32(d, 16), c += d, b ^= c, b = rol32(b, 12), a += b, d ^= a, d = rol32(d, 8), c += d,        \
   b ^= c, b = rol32(b, 7))

// The 20 rounds of ChaCha20: sixteen live values on eleven registers.
WORK work_chacha(u8 *p, u8 *end) {
  if (p + 48 > end) return 0;
  u32 x0 = 0x61707865, x1 = 0x3320646e, x2 = 0x79622d32, x3 = 0x6b206574;
  u32 x4 = ld32(p), x5 = ld32(p + 4), x6 = ld32(p + 8), x7 = ld32(p + 12);
  u32 x8 = ld32(p + 16), x9 = ld32(p + 20), x10 = ld32(p + 24), x11 = ld32(p + 28);
  u32 x12 = ld32(p + 32), x13 = ld32(p + 36), x14 = ld32(p + 40), x15 = ld32(p + 44);
  ROLLED for (int i = 0; i < 10; i++) {
    QUARTER_ROUND(x0, x4, x8, x12), QUARTER_ROUND(x1, x5, x9, x13);
    QUARTER_ROUND(x2, x6, x10, x14), QUARTER_ROUND(x3, x7, x11, x15);
    QUARTER_ROUND(x0, x5, x10, x15), QUARTER_ROUND(x1, x6, x11, x12);
    QUARTER_ROUND(x2, x7, x8, x13), QUARTER_ROUND(x3, x4, x9, x14);
  }
  return (u64)(x0 ^ x1 ^ x2 ^ x3 ^ x4 ^ x5 ^ x6 ^ x7) << 32 | (x8 ^ x9 ^ x10 ^ x11 ^ x12 ^ x13 ^ x14 ^ x15);
}

// --- sorting on the stack

static __always_inline u64 insertion_sort(u8 *p, u8 *end, u32 *a, int n) {
  ROLLED for (int i = 0; i < n; i++) a[i] = ld32(p + i * 4);
  ROLLED for (int i = 1; i < n; i++) {
    u32 x = a[i & (n - 1)];
    int j = i;
    ROLLED while (j > 0 && a[(j - 1) & (n - 1)] > x) {
      a[j & (n - 1)] = a[(j - 1) & (n - 1)];
      j--;
    }
    a[j & (n - 1)] = x;
  }
  return a[0] ^ (u64)a[n / 2 - 1] << 8 ^ (u64)a[n - 1] << 16;
}

WORK work_isort16(u8 *p, u8 *end) {
  u32 a[16];
  return p + 64 > end ? 0 : insertion_sort(p, end, a, 16);
}

WORK work_isort64(u8 *p, u8 *end) {
  u32 a[64];
  return p + 256 > end ? 0 : insertion_sort(p, end, a, 64);
}

// Bubble sort without branches on the data, so that a verifier walks one path. The empty asm keeps the compiler from
// seeing that d, m and e are a comparison.
WORK work_bsort32(u8 *p, u8 *end) {
  if (p + 128 > end) return 0;
  u64 a[32];
  ROLLED for (int i = 0; i < 32; i++) a[i & 31] = ld32(p + i * 4);
  ROLLED for (int i = 31; i > 0; i--) {
    ROLLED for (int j = 0; j < i; j++) {
      u64 x = a[j & 31], y = a[(j + 1) & 31], d = x - y;
      barrier_var(d);
      u64 m = (s64)d >> 63, e = d & m;
      barrier_var(e);
      a[j & 31] = y + e;
      a[(j + 1) & 31] = x - e;
    }
  }
  return a[0] ^ a[15] << 8 ^ a[31] << 16;
}

// --- writing, calling

// What a forwarder does: swap the MAC addresses, one from the TTL, checksum by the difference.
WORK work_fwd(u8 *p, u8 *end) {
  if (p + 34 > end) return 0x10000;
  if (ld16(p + 12) != bpf_htons(ETH_P_IP)) return 0x10001;
  u16 mac0 = ld16(p), mac1 = ld16(p + 2), mac2 = ld16(p + 4);
  st16(p, ld16(p + 6)), st16(p + 2, ld16(p + 8)), st16(p + 4, ld16(p + 10));
  st16(p + 6, mac0), st16(p + 8, mac1), st16(p + 10, mac2);

  u8 *ip = p + 14;
  u16 before = ld16(ip + 8);
  ip[8] = ip[8] <= 1 ? 64 : ip[8] - 1;
  u32 check = (u16)~ld16(ip + 10);
  check += (u16)~before;
  check += ld16(ip + 8);
  check = (check & 0xffff) + (check >> 16);
  check = (check & 0xffff) + (check >> 16);
  st16(ip + 10, ~check);
  return XDP_TX;
}

// Three levels of BPF-to-BPF calls, 1 + 2 + 4.
static __noinline u64 calls_level3(u64 a, u64 b) {
  a ^= b >> 3;
  a *= 0x9e3779b97f4a7c15;
  return a ^ a >> 29;
}

static __noinline u64 calls_level2(u64 a, u64 b) {
  u64 r = calls_level3(a + 1, b);
  return r + calls_level3(b, r);
}

static __noinline u64 calls_level1(u64 a, u64 b) {
  u64 r = calls_level2(a, b ^ 5);
  return r ^ calls_level2(b, r);
}

WORK work_calls7(u8 *p, u8 *end) { return p + 16 > end ? 0 : calls_level1(ld64(p), ld64(p + 8)); }

// Sixteen calls of a helper that does next to nothing. The result is 1 whatever the helper says.
WORK work_helper16(u8 *p, u8 *end) {
  u32 sum = 0;
  _Pragma("clang loop unroll(full)") for (int i = 0; i < 16; i++) sum += bpf_get_numa_node_id();
  return (sum | 0x80000000) >> 31;
}
