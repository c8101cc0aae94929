#!/usr/bin/env node
// What a user waits for: start, inspect of a large object, and a capture of a million packets through parse_count.
//   node bench/cli.mjs [--packets 1000000] [--runs 5] [OBJECT to inspect ...]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { eth } from '../dist/index.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { packets: { type: 'string', default: '1000000' }, runs: { type: 'string', default: '5' } },
});
const packets = Number(values.packets);
const runs = Number(values.runs);
const bpflab = join(root, 'dist/cli/main.js');

/** Runs a command: wall time in seconds, largest resident set in MiB (undefined where /proc is not), what it printed. */
async function runOnce(args) {
  const started = process.hrtime.bigint();
  const child = spawn(process.execPath, [bpflab, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  let peak;
  child.stdout.on('data', (text) => {
    printed = (printed + text).slice(-4000);
  });
  child.stderr.on('data', (text) => {
    printed = (printed + text).slice(-4000);
  });
  const watch = setInterval(() => {
    try {
      const highWater = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'));
      if (highWater) peak = Number(highWater[1]) / 1024;
    } catch {
      // Gone already, or no /proc.
    }
  }, 20);
  const [code] = await once(child, 'close');
  clearInterval(watch);
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  if (code !== 0) throw new Error(`bpflab ${args.join(' ')}: exit ${code}\n${printed}`);
  return { seconds, peak, printed };
}

/** The fastest of several runs, with the largest peak of them all. */
async function best(args) {
  let fastest;
  let peak;
  for (let i = 0; i < runs; i++) {
    const run = await runOnce(args);
    if (!fastest || run.seconds < fastest.seconds) fastest = run;
    if (run.peak !== undefined) peak = Math.max(peak ?? 0, run.peak);
  }
  return { ...fastest, peak };
}

const folder = mkdtempSync(join(tmpdir(), 'bpflab-bench-'));
try {
  const capture = join(folder, 'million.pcap');
  await writeCapture(capture);
  console.log(`${cpus()[0].model}, Node ${process.version}, best of ${runs}`);
  console.log(`bpflab --version: ${(await best(['--version'])).seconds.toFixed(3)} s`);
  const object = join(root, 'progs/parse_count.bpf.o');
  for (const path of [object, ...positionals]) {
    console.log(`inspect ${basename(path)}: ${(await best(['inspect', path])).seconds.toFixed(3)} s`);
  }
  const { seconds, peak } = await best(['run', object, '--in', capture, '--summary']);
  const megabytes = (statSync(capture).size / 1e6).toFixed(0);
  const rate = Math.round(packets / seconds).toLocaleString('en');
  console.log(
    `run parse_count on ${packets} packets (${megabytes} MB): ${seconds.toFixed(2)} s, ${rate} packets/s, peak ${peak?.toFixed(0)} MiB`,
  );
} finally {
  rmSync(folder, { recursive: true });
}

/** UDP packets of 64 bytes over 64 flows, classic pcap. */
async function writeCapture(path) {
  const flows = Array.from({ length: 64 }, (_, i) =>
    Buffer.from(
      eth({ src: '02:00:00:00:00:01', dst: '02:00:00:00:00:02' })
        .ip4({ src: `10.0.0.${i + 1}`, dst: '10.0.1.1' })
        .udp({ sport: 1000 + i, dport: 53 })
        .payload(new Uint8Array(18))
        .build(),
    ),
  );
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65535, 16);
  header.writeUInt32LE(1, 20);
  const stream = createWriteStream(path);
  stream.write(header);
  for (let done = 0; done < packets; ) {
    const parts = [];
    for (let i = 0; i < 10000 && done < packets; i++, done++) {
      const data = flows[done % flows.length];
      const record = Buffer.alloc(16);
      record.writeUInt32LE(Math.floor(done / 1e6), 0);
      record.writeUInt32LE(done % 1e6, 4);
      record.writeUInt32LE(data.length, 8);
      record.writeUInt32LE(data.length, 12);
      parts.push(record, data);
    }
    if (!stream.write(Buffer.concat(parts))) await new Promise((resolve) => stream.once('drain', resolve));
  }
  await new Promise((resolve) => stream.end(resolve));
}
