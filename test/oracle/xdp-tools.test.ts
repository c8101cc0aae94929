import { describe, expect, test } from 'vitest';
import { ANSWERS_FROM, accepted, differences, kernelAnswer } from './answers.ts';
import { interpreterSubject } from './lab-subject.ts';
import { objectName, objectsIn, readObject } from './objects.ts';
import { comparisonPackets } from './packets.ts';
import { canAnswer } from './record.ts';
import type { Scenario } from './scenario.ts';
import { fillFilter } from './xdp-filter.ts';

/** Where Debian's xdp-tools package puts its objects. */
const FOLDERS = ['/usr/lib/x86_64-linux-gnu/bpf/', '/usr/lib/aarch64-linux-gnu/bpf/'];
const objects = FOLDERS.flatMap((folder) => objectsIn(folder, '.o'));
const filters = objects.filter((path) => objectName(path).startsWith('xdpfilt_'));
const NOT_INSTALLED = 'the xdp-tools package is not installed';

function scenarioOf(path: string): Scenario {
  return {
    spec: readObject(path),
    inputs: comparisonPackets().map((data) => ({ data })),
    prepare: fillFilter,
  };
}

describe("objects of Debian's xdp-tools", () => {
  test('all of them are read by the loader', (ctx) => {
    if (objects.length === 0) ctx.skip(NOT_INSTALLED);
    const programs = objects.flatMap((path) => readObject(path).programs.map(({ name }) => name));
    expect(programs.length).toBeGreaterThanOrEqual(objects.length);
  });

  test(`the filters give the verdicts, packets and counters of ${ANSWERS_FROM}`, (ctx) => {
    if (filters.length === 0) ctx.skip(NOT_INSTALLED);
    const verdicts = new Set<string>();
    for (const path of filters) {
      const name = `xdp-tools-${objectName(path)}`;
      const possible = canAnswer(name);
      if (!possible.ok) ctx.skip(possible.reason);
      const answer = kernelAnswer(name, () => scenarioOf(path));
      expect(accepted(answer)).toEqual(answer);
      expect(differences(interpreterSubject, scenarioOf(path), answer), objectName(path)).toEqual([]);
      for (const { runs } of Object.values(answer)) for (const run of runs) verdicts.add(run);
    }
    // XDP_DROP and XDP_PASS both occur: the maps that were filled match some packets and not others.
    expect([...verdicts]).toEqual(expect.arrayContaining(['1', '2']));
  });
});
