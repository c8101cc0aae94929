#!/usr/bin/env node
// A longer campaign of random programs, interpreter against the running kernel (Linux, root, bpf() permitted).
//   node scripts/fuzz.mjs [COUNT] [FIRST SEED]
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const [count = '5000', from = String(Math.floor(Date.now() / 1000))] = process.argv.slice(2);
for (const value of [count, from]) {
  if (!/^\d+$/.test(value)) {
    console.error(`fuzz: ${value} is not a number; usage: node scripts/fuzz.mjs [COUNT] [FIRST SEED]`);
    process.exit(2);
  }
}
console.log(`fuzz: ${count} random programs, seeds ${from} to ${Number(from) + Number(count) - 1}`);
const { status } = spawnSync(
  process.execPath,
  [join(root, 'node_modules/vitest/vitest.mjs'), 'run', 'test/oracle/random-programs.test.ts', '--testTimeout=3600000'],
  { cwd: root, stdio: 'inherit', env: { ...process.env, BPFLAB_RANDOM: count, BPFLAB_RANDOM_FROM: from } },
);
console.log(`fuzz: ${count} programs from seed ${from}: ${status === 0 ? 'all equal' : 'see above'}`);
process.exit(status ?? 1);
