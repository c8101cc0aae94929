import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { FaultError } from '../../src/base/error.ts';
import type { MapTypeName, ProgramTypeName } from '../../src/loader/kernel-names.ts';
import type { ObjectSpec } from '../../src/loader/spec.ts';
import { unhex, viewOf } from './libc.ts';
import { assembled, I, type RawMap, type RawProgram, rawSpec } from './raw-spec.ts';
import type { RunOutput, Subject, SubjectObject } from './subject.ts';

const FOLDER = fileURLToPath(new URL('../../../shared/vectors/', import.meta.url));
const FILE = `${FOLDER}verifier-6.1.jsonl.xz`;

/** One line of the vectors: a raw program, and what a real kernel said. */
export interface Vector {
  readonly id: string;
  readonly descr: string;
  readonly prog_type: ProgramTypeName;
  readonly expected_attach_type: number;
  readonly license: string;
  readonly insns: string;
  readonly fixups: readonly {
    readonly kind: string;
    readonly insn: number;
    readonly map: {
      readonly type: MapTypeName;
      readonly key_size: number;
      readonly value_size: number;
      readonly max_entries: number;
      readonly flags: number;
    };
  }[];
  readonly prog_flags: number;
  readonly retvals: readonly { readonly data: string; readonly any?: boolean }[];
  readonly kernel: {
    readonly verdict: 'accept' | 'reject' | 'setup_failed';
    readonly runs?: readonly VectorRun[];
    readonly extra_runs?: readonly (VectorRun & { readonly pkt: string; readonly nondet?: boolean })[];
  };
  readonly scope: string;
  readonly helpers: readonly string[];
  readonly nondet_helpers: readonly string[];
}

interface VectorRun {
  readonly retval?: number;
  readonly out_size?: number;
  readonly out?: string;
  readonly out_same?: boolean;
  readonly errno?: number;
}

/** The vectors, or the reason why they cannot be read. */
export function readVectors():
  | { readonly ok: true; readonly vectors: Vector[] }
  | { readonly ok: false; readonly reason: string } {
  if (!existsSync(FILE)) return { ok: false, reason: 'verifier vectors are not at hand (../shared/vectors)' };
  try {
    const text = execFileSync('xz', ['-dc', FILE], { encoding: 'utf8', maxBuffer: 1 << 26, stdio: 'pipe' });
    return {
      ok: true,
      vectors: text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Vector),
    };
  } catch (error) {
    return { ok: false, reason: `xz -dc of the verifier vectors failed: ${(error as Error).message}` };
  }
}

/** What the kernel tests put into the first element of their array maps: `test_val { index = 28; foo[6] = 0xabcdef12 }`. */
function initialValue(kind: string): Uint8Array | undefined {
  if (kind === 'map_array_small') return Uint8Array.of(0x1c);
  if (!['map_array_ro', 'map_array_wo', 'map_array_48b'].includes(kind)) return undefined;
  const bytes = new Uint8Array(48);
  viewOf(bytes).setUint32(0, 28, true);
  viewOf(bytes).setUint32(28, 0xabcdef12, true);
  return bytes;
}

function isProgArray(kind: string): boolean {
  return kind === 'prog1' || kind === 'prog2';
}

function rawMap(kind: string, map: Vector['fixups'][number]['map']): RawMap {
  const initial = initialValue(kind);
  const inner = { name: 'inner', type: 'array', keySize: 4, valueSize: 4, maxEntries: 1 } as const;
  return {
    name: kind,
    type: map.type,
    keySize: map.key_size,
    valueSize: map.value_size,
    maxEntries: map.max_entries,
    flags: map.flags,
    ...(initial ? { initial } : {}),
    ...(kind === 'map_in_map' ? { innerMap: inner } : {}),
    ...(isProgArray(kind)
      ? {
          values: [
            { slot: kind === 'prog1' ? 0 : 7, program: 'ret42' },
            { slot: 1, program: `again_${kind}` },
            { slot: 2, program: 'ret24' },
          ],
        }
      : {}),
  };
}

/** The vector as an object: program `main`, its maps, and the targets of its prog arrays. */
export function vectorSpec(vector: Vector): ObjectSpec {
  const kinds = [...new Set(vector.fixups.map(({ kind }) => kind))];
  const maps = kinds.map((kind) => rawMap(kind, vector.fixups.find((fixup) => fixup.kind === kind)!.map));
  const insns = unhex(vector.insns);
  for (const { kind, insn } of vector.fixups) {
    // src 1 (map fd) and 2 (map value) become 5 and 6, which count in the list of maps.
    insns[insn * 8 + 1] = insns[insn * 8 + 1]! + 0x40;
    viewOf(insns).setUint32(insn * 8 + 4, kinds.indexOf(kind), true);
  }
  const type = vector.prog_type;
  const common = { type, license: vector.license, expectedAttachType: vector.expected_attach_type };
  const targets: RawProgram[] = [];
  if (kinds.some(isProgArray)) {
    targets.push({ ...common, name: 'ret42', insns: assembled(I.mov(0, 42), I.exit()) });
    targets.push({ ...common, name: 'ret24', insns: assembled(I.mov(0, 24), I.exit()) });
    for (const kind of kinds.filter(isProgArray)) {
      const again = assembled(I.mov(3, 1), I.map(2, kinds.indexOf(kind)), I.call(12), I.mov(0, 41), I.exit());
      targets.push({ ...common, name: `again_${kind}`, insns: again });
    }
  }
  return rawSpec([{ ...common, name: 'main', insns, flags: vector.prog_flags }, ...targets], maps);
}

/** Runs with equal results each time: `runs` share their maps, each of the extra packets gets fresh ones. */
function comparableRuns(vector: Vector, packets: Readonly<Record<string, string>>) {
  if (vector.nondet_helpers.length > 0) return [];
  const series: { readonly data: string; readonly expected: VectorRun }[][] = [];
  const runs = (vector.kernel.runs ?? []).map((expected, i) => ({ data: vector.retvals[i]!.data, expected }));
  if (!vector.retvals.some(({ any }) => any)) {
    series.push(runs);
    for (const run of vector.kernel.extra_runs ?? []) {
      if (!run.nondet) series.push([{ data: packets[run.pkt]!, expected: run }]);
    }
  }
  return series;
}

export function readPackets(): Record<string, string> {
  return JSON.parse(readFileSync(`${FOLDER}packets.json`, 'utf8')) as Record<string, string>;
}

export interface VectorOutcome {
  readonly runs: number;
  readonly problems: readonly string[];
}

/** Runs a vector on a subject; every result that is not the recorded one is a problem. */
export function runVector(subject: Subject, vector: Vector, packets: Readonly<Record<string, string>>): VectorOutcome {
  const problems: string[] = [];
  let runs = 0;
  const series = comparableRuns(vector, packets);
  const spec = vectorSpec(vector);
  const stateless = spec.maps.length === 0;
  let object: ReturnType<Subject['load']> | undefined;
  try {
    for (const steps of series) {
      if (!stateless) object?.close();
      if (!stateless || !object) object = subject.load(spec);
      const refusal = object.refused.main;
      if (refusal) return { runs, problems: [`refused: ${refusal.log.trim().split('\n').at(-2) ?? refusal.errno}`] };
      for (const { data, expected } of steps) {
        runs++;
        const problem = difference(expected, runOrFault(object, unhex(data)), data);
        if (problem) problems.push(`packet ${data.slice(0, 40)}: ${problem}`);
      }
    }
  } finally {
    object?.close();
  }
  return { runs, problems };
}

/** An engine that stops the program is a wrong answer, as the kernel let it run. */
function runOrFault(object: SubjectObject, data: Uint8Array): RunOutput | string {
  try {
    return object.run('main', { data });
  } catch (error) {
    if (error instanceof FaultError) return error.message;
    throw error;
  }
}

function difference(expected: VectorRun, output: RunOutput | string, input: string): string | undefined {
  if (typeof output === 'string') return `fault: ${output}`;
  if (expected.errno !== undefined) {
    return output.errno === -expected.errno ? undefined : `errno ${output.errno} instead of ${-expected.errno}`;
  }
  if (output.errno !== 0) return `run failed with ${output.errno}`;
  if (output.retval !== expected.retval! >>> 0) return `retval ${output.retval} instead of ${expected.retval! >>> 0}`;
  const data = expected.out_same ? input : expected.out;
  if (data !== undefined && output.data !== data) return `packet ${output.data} instead of ${data}`;
  return undefined;
}

/** Vectors in the scope of the lab that the kernel accepted. */
export function acceptedCore(vectors: readonly Vector[]): Vector[] {
  return vectors.filter(({ scope, kernel }) => scope === 'core' && kernel.verdict === 'accept');
}
