import { describe, expect, test } from 'vitest';
import { ANSWERS_FROM, accepted, differences, kernelAnswer } from './answers.ts';
import { interpreterSubject } from './lab-subject.ts';
import { canAnswer } from './record.ts';
import { TEST_RUN_SCENARIOS } from './test-run-scenarios.ts';

/** Scenarios in which the lab is known to differ; whoever mends one takes it off here. */
const OPEN: Readonly<Record<string, string>> = {
  'xdp-context':
    'ctx_in with ingress_ifindex 0 or data_end below 14 is taken, and ctx_out gives ingress_ifindex back as given',
  'skb-fields': 'wire_len is 0 where no context was given',
};

describe(`BPF_PROG_TEST_RUN, compared with ${ANSWERS_FROM}`, () => {
  test.for(Object.entries(TEST_RUN_SCENARIOS))('%s', ([name, scenario], ctx) => {
    const possible = canAnswer(`test-run-${name}`);
    if (!possible.ok) ctx.skip(possible.reason);
    const answer = accepted(kernelAnswer(`test-run-${name}`, scenario));
    expect(Object.keys(answer).length).toBeGreaterThan(0);
    const found = differences(interpreterSubject, scenario(), answer);
    if (!(name in OPEN)) return expect(found).toEqual([]);
    ctx.annotate(`open: ${OPEN[name]}`);
    expect(found, `${name} agrees now: take it off OPEN`).not.toEqual([]);
  });
});
