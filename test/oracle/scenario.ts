import { createHash } from 'node:crypto';
import type { ObjectSpec, VariableSpec } from '../../src/loader/spec.ts';
import { hex, unhex, viewOf } from './libc.ts';
import type { MapDump, RunInput, Subject, SubjectObject } from './subject.ts';

/** An object, what its maps hold before, and what goes through its programs; the same steps for every subject. */
export interface Scenario {
  /** Fresh each time: `play` may patch it. */
  readonly spec: ObjectSpec;
  /** Global variables by name, little-endian numbers of their own size. */
  readonly globals?: Readonly<Record<string, number>>;
  /** Programs to run, each on freshly loaded maps; default: all with `autoload`. */
  readonly programs?: readonly string[];
  /** Fills maps before the first packet. */
  readonly prepare?: (object: SubjectObject, packets: readonly Uint8Array[]) => void;
  readonly inputs: readonly RunInput[];
  /** Byte ranges [from, to) of map values that depend on time: shown as zeros. */
  readonly timeFields?: Readonly<Record<string, readonly (readonly [number, number])[]>>;
}

/** What a subject made of one program; small and JSON, as it is recorded. */
export interface ProgramAnswer {
  /** Negative errno where the program was not accepted. */
  readonly refused?: number;
  /** One line for each input, see `runLine`. */
  readonly runs: readonly string[];
  readonly maps: Readonly<Record<string, MapDump>>;
}
export type Answer = Readonly<Record<string, ProgramAnswer>>;

/** Plays a scenario: for each program a fresh load, all inputs in order, and the maps at the end. */
export function play(subject: Subject, scenario: Scenario): Answer {
  const { spec } = scenario;
  for (const [name, value] of Object.entries(scenario.globals ?? {})) setGlobal(spec, name, value);
  const names = scenario.programs ?? spec.programs.filter(({ autoload }) => autoload).map(({ name }) => name);
  return Object.fromEntries(names.map((name) => [name, playProgram(subject, scenario, name)]));
}

function playProgram(subject: Subject, scenario: Scenario, program: string): ProgramAnswer {
  // Prog arrays want their targets; else one program is enough.
  const slots = scenario.spec.maps.some(({ values }) => values?.some((slot) => slot.program !== undefined));
  const object = subject.load(scenario.spec, slots ? {} : { programs: [program] });
  try {
    const refusal = object.refused[program];
    if (refusal) return { refused: refusal.errno, runs: [], maps: {} };
    scenario.prepare?.(
      object,
      scenario.inputs.map(({ data }) => data ?? new Uint8Array()),
    );
    const runs = scenario.inputs.map((input) => runLine(object, program, input));
    const maps = object.dump();
    for (const [map, ranges] of Object.entries(scenario.timeFields ?? {})) {
      const dump = maps[map];
      if (dump) maps[map] = withoutTime(dump, ranges);
    }
    return { runs, maps };
  } finally {
    object.close();
  }
}

/**
 * A run in one word or two: `2` (retval, packet unchanged), `3 98@14:00a1` (retval, new length and changed bytes by offset),
 * `3 118#5f0c...` (new length and hash, where more changed), `e-22` (the run's errno); then ` ctx:...` where a context
 * was given.
 */
function runLine(object: SubjectObject, program: string, input: RunInput): string {
  const output = object.run(program, input);
  if (output.errno !== 0) return `e${output.errno}`;
  const change = packetChange(hex(input.data ?? new Uint8Array()), output.data);
  return `${output.retval}${change ? ` ${change}` : ''}${input.ctx ? ` ctx:${output.ctx.replace(/(00)+$/, '')}` : ''}`;
}

function packetChange(before: string, after: string): string {
  if (before === after) return '';
  const size = after.length / 2;
  const parts: string[] = [];
  if (before.length === after.length) {
    for (let at = 0; at < before.length; ) {
      let end = at;
      while (end < before.length && before.slice(end, end + 2) !== after.slice(end, end + 2)) end += 2;
      if (end > at) parts.push(`${at / 2}:${after.slice(at, end)}`);
      at = end + 2;
    }
  }
  const text = `${size}@${parts.join(',')}`;
  if (parts.length > 0 && text.length <= 120) return text;
  return `${size}#${createHash('sha256').update(after).digest('hex').slice(0, 24)}`;
}

function withoutTime(dump: MapDump, ranges: readonly (readonly [number, number])[]): MapDump {
  const blank = (value: string) => {
    const bytes = unhex(value);
    for (const [from, to] of ranges) bytes.fill(0, from, to);
    return hex(bytes);
  };
  return {
    type: dump.type,
    entries: dump.entries.map(([key, value]) => [key, typeof value === 'string' ? blank(value) : value] as const),
  };
}

/** Sets a global variable before loading, as a loader's user would. */
export function setGlobal(spec: ObjectSpec, name: string, value: number): void {
  const variable: VariableSpec | undefined = spec.variables.find((candidate) => candidate.name === name);
  const initial = variable && spec.maps[variable.map]?.initial;
  if (!variable || !initial) throw new Error(`${spec.name} has no initialised variable ${name}`);
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigUint64(0, BigInt(value), true);
  initial.set(bytes.subarray(0, variable.size), variable.offset);
}
