import type { BpfMap } from '../../maps/map.ts';
import type { Machine } from '../machine.ts';
import { PerMachine } from './per-machine.ts';

type Release = (map: BpfMap, value: number) => void;

const owners = new PerMachine<Set<Release>>((machine) => {
  const releases = new Set<Release>();
  const before = machine.releaseFields;
  machine.releaseFields = (map, value) => {
    before?.(map, value);
    for (const release of releases) release(map, value);
  };
  return releases;
});

/** Has `release` called for every value with special fields that goes away or is overwritten. */
export function ownFields(machine: Machine, release: Release): void {
  owners.of(machine).add(release);
}
