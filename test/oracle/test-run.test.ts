import { describe, expect, test } from 'vitest';
import { ANSWERS_FROM, accepted, differences, kernelAnswer } from './answers.ts';
import { interpreterSubject } from './lab-subject.ts';
import { canAnswer } from './record.ts';
import { TEST_RUN_SCENARIOS } from './test-run-scenarios.ts';

describe(`BPF_PROG_TEST_RUN, compared with ${ANSWERS_FROM}`, () => {
  test.for(Object.entries(TEST_RUN_SCENARIOS))('%s', ([name, scenario], ctx) => {
    const possible = canAnswer(`test-run-${name}`);
    if (!possible.ok) ctx.skip(possible.reason);
    const answer = accepted(kernelAnswer(`test-run-${name}`, scenario));
    expect(Object.keys(answer).length).toBeGreaterThan(0);
    expect(differences(interpreterSubject, scenario(), answer)).toEqual([]);
  });
});
