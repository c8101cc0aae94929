#!/usr/bin/env node
// Nanoseconds per executed instruction of the interpreter, memory checks on, on the compute programs of progs/bench.
//   node bench/interpreter.mjs [--processes 5] [--json] [PROGRAM...]
// Each process measures all programs by itself with tinybench; the best process counts, since whole processes can be slow.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Bench } from 'tinybench';
import { createLab } from '../dist/index.js';

const root = new URL('..', import.meta.url);
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { processes: { type: 'string', default: '5' }, json: { type: 'boolean' }, measure: { type: 'boolean' } },
});

/** The one packet of the capture that all programs are measured with (classic pcap, one record). */
function inputPacket() {
  const capture = readFileSync(new URL('progs/bench/input.pcap', root));
  return new Uint8Array(capture.subarray(40, 40 + capture.readUInt32LE(32)));
}

async function measure() {
  const lab = createLab();
  const object = lab.load(readFileSync(new URL('progs/bench/compute.bpf.o', root)));
  const packet = inputPacket();
  const rows = [];
  for (const program of object.programs) {
    if (positionals.length > 0 ? !positionals.includes(program.name) : program.name.endsWith('_x100')) continue;
    const { insns, retval } = program.run(packet);
    // One task runs about a million instructions, so that the timer's own cost disappears.
    const repeat = Math.max(1, Math.round(1e6 / insns));
    const bench = new Bench({ time: 300, warmupTime: 100 });
    bench.add(program.name, () => {
      program.runFast(packet, { repeat });
    });
    await bench.run();
    const nsPerRun = (bench.tasks[0].result.latency.min * 1e6) / repeat;
    rows.push({ program: program.name, retval, insns, nsPerRun, nsPerInsn: nsPerRun / insns });
  }
  return rows;
}

if (values.measure) {
  console.log(JSON.stringify(await measure()));
} else {
  const best = new Map();
  for (let i = 0; i < Number(values.processes); i++) {
    const out = execFileSync(process.execPath, [fileURLToPath(import.meta.url), '--measure', ...positionals], {
      encoding: 'utf8',
    });
    for (const row of JSON.parse(out)) {
      const known = best.get(row.program);
      if (!known || row.nsPerRun < known.nsPerRun) best.set(row.program, row);
    }
  }
  const rows = [...best.values()];
  if (values.json) console.log(JSON.stringify(rows));
  else {
    console.log(`${cpus()[0].model}, Node ${process.version}, best of ${values.processes} processes`);
    console.log('program            insns      ns/run    ns/insn');
    for (const { program, insns, nsPerRun, nsPerInsn } of rows) {
      console.log(
        `${program.padEnd(16)}${String(insns).padStart(8)}${nsPerRun.toFixed(1).padStart(12)}${nsPerInsn.toFixed(2).padStart(11)}`,
      );
    }
    const total = rows.reduce((sum, row) => ({ ns: sum.ns + row.nsPerRun, insns: sum.insns + row.insns }), {
      ns: 0,
      insns: 0,
    });
    const mean = Math.exp(rows.reduce((sum, row) => sum + Math.log(row.nsPerInsn), 0) / rows.length);
    console.log(
      `geometric mean ${mean.toFixed(2)} ns/insn; all together ${(total.ns / total.insns).toFixed(2)} ns/insn`,
    );
  }
}
