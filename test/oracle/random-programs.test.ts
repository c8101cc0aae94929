import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/base/rng.ts';
import type { ObjectSpec } from '../../src/loader/spec.ts';
import { RANDOM_PACKET_BYTES, randomProgram } from '../isa/random-programs.ts';
import { ANSWERS_FROM, differences, kernelAnswer } from './answers.ts';
import { interpreterSubject } from './lab-subject.ts';
import { type RawProgram, rawSpec } from './raw-spec.ts';
import { canAnswer } from './record.ts';
import type { Scenario } from './scenario.ts';

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
