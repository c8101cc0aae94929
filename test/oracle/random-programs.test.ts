import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/base/rng.ts';
import type { ObjectSpec } from '../../src/loader/spec.ts';
import { RANDOM_PACKET_BYTES, randomProgram } from '../isa/random-programs.ts';
import { ANSWERS_FROM, differences, kernelAnswer } from './answers.ts';
import { kernelAvailable } from './kernel.ts';
import { interpreterSubject } from './lab-subject.ts';
import { kernelSubject } from './load.ts';
import { assembled, I, insn, type RawProgram, rawSpec } from './raw-spec.ts';
import { canAnswer } from './record.ts';
import type { Scenario } from './scenario.ts';
import type { Subject } from './subject.ts';

/** More for a campaign: BPFLAB_RANDOM=20000, from another place: BPFLAB_RANDOM_FROM=1000000. */
const COUNT = Number(process.env.BPFLAB_RANDOM ?? 400);
const FROM = Number(process.env.BPFLAB_RANDOM_FROM ?? 0);
const BATCH = 100;

function program(seed: number): RawProgram {
  // From a handful of instructions to some hundreds
  const insns = [10, 30, 60, 120, 300][seed % 5]!;
  const { type, bytes } = randomProgram(new Rng(seed), { insns });
  return { name: `seed_${seed}`, type: type === 6 ? 'xdp' : 'socket_filter', insns: bytes };
}

function spec(from: number, count: number): ObjectSpec {
  return rawSpec(Array.from({ length: count }, (_, i) => program(from + i)));
}

function scenario(from: number, count: number): Scenario {
  const packet = (start: number, step: number, size: number) => ({
    data: Uint8Array.from({ length: size }, (_, i) => (start + i * step) & 0xff),
  });
  // The middle one is too short for what the programs ask of their packet.
  const inputs = [packet(0, 37, 100), packet(5, 0, RANDOM_PACKET_BYTES - 1), packet(255, 91, RANDOM_PACKET_BYTES + 14)];
  return { spec: spec(from, count), inputs };
}

/**
 * Bytes 14 of the packet above 5: r4 = 1, else 2; r4 goes to the stack and comes back by `fetch`; returns 1 when it is 1.
 *
 * Linux 6.18's verifier walks r4 = 2 first, and when the branch on r5 needs a precise value, it follows r5 through
 * atomic_fetch_and to the instruction before, instead of to the stack slot that was fetched from
 * (kernel: backtrack_insn()). So it takes the other path for equal to the first, never sees r5 == 1, removes that branch
 * as dead, and the program returns 2 where it should return 1. A campaign meets this once in about a thousand programs.
 */
function fetchThenBranch(fetch: readonly number[]): Uint8Array {
  return assembled(
    I.load(32, 2, 1, 0),
    I.load(32, 3, 1, 4),
    I.movReg(4, 2),
    I.add(4, 20),
    I.mov(0, 9),
    I.ifGreater(4, 3, 9),
    I.load(8, 3, 2, 14),
    I.mov(4, 1),
    insn(0x25, 3, 0, 1, 5), // if r3 > 5 skip 1
    I.mov(4, 2),
    I.storeReg(64, 10, -8, 4),
    I.mov(5, 0xff),
    [...fetch],
    insn(0x15, 5, 0, 2, 1), // if r5 == 1 skip 2
    I.mov(0, 2),
    I.exit(),
    I.mov(0, 1),
    I.exit(),
  );
}

describe('a value that goes through the stack', () => {
  const frames = [0, 9].map((byte) => Uint8Array.from({ length: 30 }, (_, i) => (i === 14 ? byte : 0)));
  const results = (subject: Subject, fetch: readonly number[]) => {
    const object = subject.load(rawSpec([{ name: 'p', type: 'xdp', insns: fetchThenBranch(fetch) }]));
    const retvals = frames.map((data) => object.run('p', { data }).retval);
    object.close();
    return retvals;
  };
  const load = I.load(64, 5, 10, -8);
  const fetchAnd = insn(0xdb, 10, 5, -8, 0x51);

  test('decides a branch in the lab, fetched by an atomic or loaded', () => {
    expect(results(interpreterSubject, load)).toEqual([2, 1]);
    expect(results(interpreterSubject, fetchAnd)).toEqual([2, 1]);
  });

  test('decides it in the kernel when loaded; fetched, 6.18 takes the branch for dead', (ctx) => {
    const available = kernelAvailable();
    if (!available.ok) ctx.skip(`no kernel: ${available.reason}`);
    expect(results(kernelSubject, load)).toEqual([2, 1]);
    // [2, 1] from a kernel that follows the fetch
    expect([
      [2, 2],
      [2, 1],
    ]).toContainEqual(results(kernelSubject, fetchAnd));
  });
});

describe(`random programs, compared with ${ANSWERS_FROM}`, () => {
  const batches = Array.from({ length: Math.ceil(COUNT / BATCH) }, (_, i) => FROM + i * BATCH);
  test.for(batches)(`${BATCH} programs from seed %i on give the same r0 and packet`, (from, ctx) => {
    const name = `random-${from}`;
    const possible = canAnswer(name);
    if (!possible.ok) ctx.skip(possible.reason);
    // Campaigns ask the kernel each time and leave no records behind.
    const answer = kernelAnswer(name, () => scenario(from, BATCH), { keep: COUNT === 400 && FROM === 0 });
    const taken = Object.values(answer).filter(({ refused }) => refused === undefined).length;
    expect(taken).toBeGreaterThan(BATCH * 0.9);
    expect(differences(interpreterSubject, scenario(from, BATCH), answer)).toEqual([]);
  });
});
