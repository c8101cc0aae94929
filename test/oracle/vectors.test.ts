import { describe, expect, test } from 'vitest';
import { kernelAvailable } from './kernel.ts';
import { kernelSubject } from './load.ts';
import { acceptedCore, readPackets, readVectors, runVector } from './vectors.ts';

const source = readVectors();

describe('the accepted programs of the kernel 6.1 verifier tests', () => {
  test('the kernel at hand gives the recorded results', (ctx) => {
    const available = kernelAvailable();
    if (!available.ok) ctx.skip(`no kernel: ${available.reason}`);
    if (!source.ok) return ctx.skip(source.reason);
    const packets = readPackets();
    const problems: string[] = [];
    let runs = 0;
    for (const vector of acceptedCore(source.vectors)) {
      const outcome = runVector(kernelSubject, vector, packets);
      runs += outcome.runs;
      problems.push(...outcome.problems.map((problem) => `${vector.id} ${vector.descr}: ${problem}`));
    }
    expect(problems).toEqual([]);
    expect(runs).toBeGreaterThan(3000);
  });
});
