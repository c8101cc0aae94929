import { describe, expect, test } from 'vitest';
import { kernelAvailable } from './kernel.ts';
import { interpreterSubject } from './lab-subject.ts';
import { kernelSubject } from './load.ts';
import type { Subject } from './subject.ts';
import { acceptedCore, readPackets, readVectors, runVector, type Vector } from './vectors.ts';

const source = readVectors();

/** Helpers whose network parts come later; vectors that call them are left out, and their number is printed. */
const LATER = new Set(['csum_update', 'get_hash_recalc', 'skb_change_head', 'skb_load_bytes', 'skb_vlan_push']);

/** Vectors whose result shows an address: a packet lies elsewhere here than in a kernel. */
const SHOW_ADDRESSES = new Set([
  // (data - 1) >> 49 is 0x7fff for every kernel address, and 0 for a 32-bit one
  'direct_packet_access.c#22',
]);

/** Vectors in which the lab is known to differ; whoever mends one takes it off here. */
const OPEN: Readonly<Record<string, string>> = {
  'map_ptr.c#2': 'programs may read struct bpf_map',
  'map_ptr.c#3': 'programs may read struct bpf_map',
  'value_or_null.c#7': 'r10 is written in dead code only, which the kernel takes',
};

function runAll(subject: Subject, vectors: readonly Vector[]): { runs: number; problems: string[] } {
  const packets = readPackets();
  const problems: string[] = [];
  let runs = 0;
  for (const vector of vectors) {
    const outcome = runVector(subject, vector, packets);
    runs += outcome.runs;
    problems.push(...outcome.problems.map((problem) => `${vector.id} (${vector.descr}): ${problem}`));
  }
  return { runs, problems };
}

describe('the accepted programs of the kernel 6.1 verifier tests', () => {
  test('the kernel at hand gives the recorded results', (ctx) => {
    const available = kernelAvailable();
    if (!available.ok) ctx.skip(`no kernel: ${available.reason}`);
    if (!source.ok) return ctx.skip(source.reason);
    const { runs, problems } = runAll(kernelSubject, acceptedCore(source.vectors));
    expect(problems).toEqual([]);
    expect(runs).toBe(3417);
  });

  test('the interpreter gives the recorded results', (ctx) => {
    if (!source.ok) return ctx.skip(source.reason);
    const vectors = acceptedCore(source.vectors);
    const now = vectors.filter(
      ({ id, helpers }) => !helpers.some((helper) => LATER.has(helper)) && !SHOW_ADDRESSES.has(id),
    );
    const { runs, problems } = runAll(
      interpreterSubject,
      now.filter(({ id }) => !(id in OPEN)),
    );
    ctx.annotate(`${now.length} of ${vectors.length} programs, ${runs} runs; the others call ${[...LATER].join(', ')}`);
    expect(problems).toEqual([]);
    expect(runs).toBeGreaterThan(3000);
  });

  test.for(Object.entries(OPEN))('%s is open: %s', ([id], ctx) => {
    if (!source.ok) return ctx.skip(source.reason);
    const { problems } = runAll(
      interpreterSubject,
      source.vectors.filter((vector) => vector.id === id),
    );
    expect(problems, `${id} agrees now: take it off OPEN`).not.toEqual([]);
  });
});
