#!/usr/bin/env node
// Writes a large BPF object with maps, subprograms, BTF and line information, to measure `inspect` with. Needs clang.
//   node bench/make-large.mjs OUT.o [BLOCKS]      about 17 instructions per block
import { spawnSync } from 'node:child_process';

const [out, blocks = '2000'] = process.argv.slice(2);
if (!out || !/^\d+$/.test(blocks)) {
  console.error('usage: node bench/make-large.mjs OUT.o [BLOCKS]');
  process.exit(2);
}
const PER_FUNCTION = 250;
const functions = [];
for (let first = 0; first < Number(blocks); first += PER_FUNCTION) {
  const lines = [];
  for (let i = first; i < Math.min(first + PER_FUNCTION, Number(blocks)); i++) {
    lines.push(`  key = hash ^ ${i};`);
    lines.push('  value = bpf_map_lookup_elem(&counters, &key);');
    lines.push(`  if (value) { value->packets += ${i + 1}; value->bytes ^= hash; }`);
    lines.push(`  hash = (hash ^ ${(i * 2654435761) >>> 0}u) * 16777619u;`);
  }
  functions.push(`static __noinline __u32 part${functions.length}(__u32 hash) {
  __u32 key;
  struct counter *value;
${lines.join('\n')}
  return hash;
}`);
}
const source = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct counter { __u64 packets, bytes; };
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __u32);
  __type(value, struct counter);
} counters SEC(".maps");
${functions.join('\n')}
SEC("xdp") int large(struct xdp_md *ctx) {
  __u32 hash = ctx->rx_queue_index;
${functions.map((_, i) => `  hash = part${i}(hash);`).join('\n')}
  return hash & 3;
}
char _license[] SEC("license") = "GPL";
`;
for (const clang of ['clang', 'clang-22', 'clang-21', 'clang-20', 'clang-19', 'clang-18']) {
  const include = ['-I/usr/include/x86_64-linux-gnu', '-I/usr/include/aarch64-linux-gnu'];
  const args = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', ...include, '-x', 'c', '-', '-c', '-o', out];
  const { status, stderr, error } = spawnSync(clang, args, { input: source, encoding: 'utf8' });
  if (error?.code === 'ENOENT') continue;
  if (status !== 0) {
    console.error(stderr);
    process.exit(1);
  }
  process.exit(0);
}
console.error('make-large: no clang found');
process.exit(1);
