import { describe, expect, test } from 'vitest';
import { differences } from './answers.ts';
import { rawSpec } from './raw-spec.ts';
import { play, type Scenario } from './scenario.ts';
import type { MapDump, Refusal, RunOutput, Subject } from './subject.ts';

const PACKET = Uint8Array.from({ length: 20 }, (_, i) => i);
const HEX = '000102030405060708090a0b0c0d0e0f10111213';

/** A subject that gives the same answer to everything. */
function stub(output: Partial<RunOutput>, maps: Record<string, MapDump> = {}, refused = false): Subject {
  const refusal: Record<string, Refusal> = { p: { errno: -22, log: 'helper nobody#999 is not available' } };
  return {
    name: 'stub',
    load: () => ({
      programs: refused ? [] : ['p'],
      maps: [],
      refused: refused ? refusal : {},
      run: () => ({ errno: 0, retval: 2, data: HEX, ctx: '', ...output }),
      lookup: () => -2,
      update: () => 0,
      delete: () => -2,
      dump: () => ({ ...maps }),
      close: () => {},
    }),
  };
}

const scenario = (): Scenario => ({
  spec: rawSpec([{ name: 'p', type: 'xdp', insns: new Uint8Array(16) }]),
  inputs: [{ data: PACKET }],
});
const counted = (value: string): Record<string, MapDump> => ({ m: { type: 'array', entries: [['00000000', value]] } });
const answer = play(stub({}, counted('05')), scenario());

describe('where a subject differs from the kernel', () => {
  test('nowhere', () => {
    expect(answer).toEqual({ p: { runs: ['2'], maps: counted('05') } });
    expect(differences(stub({}, counted('05')), scenario(), answer)).toEqual([]);
  });

  test.each([
    ['another retval', stub({ retval: 1 }, counted('05')), 'p: input 0: 1 instead of 2'],
    ['a changed byte', stub({ data: `ff${HEX.slice(2)}` }, counted('05')), 'p: input 0: 2 20@0:ff instead of 2'],
    ['a shorter packet', stub({ data: '0001' }, counted('05')), /^p: input 0: 2 2#[0-9a-f]{24} instead of 2$/],
    ['a failed run', stub({ errno: -22 }, counted('05')), 'p: input 0: e-22 instead of 2'],
    ['a map value', stub({}, counted('06')), 'p: maps.m.entries[0][1]: "06" instead of "05"'],
    ['a missing map', stub({}), /^p: maps\.m: nothing instead of/],
    ['a refused program', stub({}, {}, true), 'p: refused: helper nobody#999 is not available'],
  ])('%s is told with its place', (_, subject, expected) => {
    expect(differences(subject, scenario(), answer)).toEqual([
      typeof expected === 'string' ? expected : expect.stringMatching(expected),
    ]);
  });

  test('programs that the kernel refused are not run', () => {
    expect(differences(stub({ retval: 9 }), scenario(), { p: { refused: -13, runs: [], maps: {} } })).toEqual([]);
  });
});
