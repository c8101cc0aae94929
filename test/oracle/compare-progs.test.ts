import { describe, expect, type TestContext, test } from 'vitest';
import { ANSWERS_FROM, accepted, differences, kernelAnswer } from './answers.ts';
import { interpreterSubject } from './lab-subject.ts';
import { OBJECT_SCENARIOS } from './object-scenarios.ts';
import { benchObjects, objectName, projectObjects, readObject } from './objects.ts';
import { benchPackets, comparisonPackets } from './packets.ts';
import { canAnswer } from './record.ts';
import type { Scenario } from './scenario.ts';

/** BPF_XDP_DEVMAP, BPF_XDP_CPUMAP */
const AT_MAP_ENTRIES = new Set([33, 35]);

function scenarioOf(path: string, packets: readonly Uint8Array[]): Scenario {
  const { skip: _skip, open: _open, ctx, first, without = {}, ...row } = OBJECT_SCENARIOS[objectName(path)] ?? {};
  const spec = readObject(path);
  // The kernel's test run refuses programs that sit in a devmap or cpumap; the lab runs them alone.
  const programs = spec.programs
    .filter(({ autoload, expectedAttachType }) => autoload && !AT_MAP_ENTRIES.has(expectedAttachType))
    .map(({ name }) => name)
    .filter((name) => !(name in without))
    .sort((a, b) => Number(b === first) - Number(a === first));
  return { spec, programs, inputs: packets.map((data) => ({ data, ...(ctx ? { ctx } : {}) })), ...row };
}

function compare(path: string, packets: () => readonly Uint8Array[], ctx: TestContext): void {
  const name = objectName(path);
  const { skip, open } = OBJECT_SCENARIOS[name] ?? {};
  if (skip) ctx.skip(skip);
  const possible = canAnswer(`progs-${name}`);
  if (!possible.ok) ctx.skip(possible.reason);
  const answer = kernelAnswer(`progs-${name}`, () => scenarioOf(path, packets()));
  expect(accepted(answer)).toEqual(answer);
  const found = differences(interpreterSubject, scenarioOf(path, packets()), answer);
  if (open === undefined) {
    expect(found).toEqual([]);
  } else {
    ctx.annotate(`open: ${open}`);
    expect(found, `${name} agrees now: take its \`open\` off`).not.toEqual([]);
  }
}

const named = (paths: readonly string[]) => paths.map((path) => [objectName(path), path] as const);

describe(`programs of progs/, compared with ${ANSWERS_FROM}: verdicts, packets, maps and events`, () => {
  test.for(named(projectObjects()))('%s on every packet of the mixed capture', ([, path], ctx) => {
    compare(path, comparisonPackets, ctx);
  });
  test.for(named(benchObjects()))('%s on the packet that is measured', ([, path], ctx) => {
    compare(path, benchPackets, ctx);
  });
});
