import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadObject } from '../../src/loader/object.ts';
import type { ObjectSpec } from '../../src/loader/spec.ts';

const PROGS = fileURLToPath(new URL('../../progs/', import.meta.url));

/** Paths of the objects in `progs/`, sorted. */
export function projectObjects(): string[] {
  return objectsIn(PROGS, '.bpf.o');
}

/** Paths of the objects in `progs/bench/`, sorted. */
export function benchObjects(): string[] {
  return objectsIn(`${PROGS}bench/`, '.bpf.o');
}

/** The packet that they are measured on. */
export const BENCH_CAPTURE = `${PROGS}bench/input.pcap`;

export const MIXED_CAPTURE = `${PROGS}captures/mixed.pcap`;

/** Objects in a folder; none where it does not exist. */
export function objectsIn(folder: string, suffix: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(suffix))
    .sort()
    .map((name) => folder + name);
}

/** `firewall` for progs/firewall.bpf.o. */
export function objectName(path: string): string {
  return basename(path).replace(/(\.bpf)?\.o$/, '');
}

/** The object as our loader reads it, fresh each time. */
export function readObject(path: string): ObjectSpec {
  return loadObject(new Uint8Array(readFileSync(path)), { file: path, possibleCpus: 2 });
}
