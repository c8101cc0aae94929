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
  /** True: the programs share their maps and run one after the other; the last one's answer has the contents. */
  readonly shared?: boolean;
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

/** Plays a scenario: each program on freshly loaded maps, all inputs in order, and the maps at the end. */
export function play(subject: Subject, scenario: Scenario): Answer {
  const { spec } = scenario;
  for (const [name, value] of Object.entries(scenario.globals ?? {})) setGlobal(spec, name, value);
  const names = scenario.programs ?? spec.programs.filter(({ autoload }) => autoload).map(({ name }) => name);
  // Without maps there is no state to begin anew with: one load serves all programs.
  if (spec.maps.length === 0 || scenario.shared)
    return withObject(subject, spec, names, (object) => answers(object, scenario, names));
  // Prog arrays want their targets; else one program is enough.
  const slots = spec.maps.some(({ values }) => values?.some(({ program }) => program !== undefined));
  return Object.assign(
    {},
    ...names.map((name) =>
      withObject(subject, spec, slots ? undefined : [name], (object) => answers(object, scenario, [name])),
    ),
  ) as Answer;
}

function withObject<T>(
  subject: Subject,
  spec: ObjectSpec,
  programs: readonly string[] | undefined,
  use: (object: SubjectObject) => T,
): T {
  const object = subject.load(spec, programs ? { programs } : {});
  try {
    return use(object);
  } finally {
    object.close();
  }
}

function answers(object: SubjectObject, scenario: Scenario, programs: readonly string[]): Answer {
  return Object.fromEntries(
    programs.map((program) => [program, answerOf(object, scenario, program, programs.at(-1)!)]),
  );
}

function answerOf(object: SubjectObject, scenario: Scenario, program: string, last: string): ProgramAnswer {
  const refusal = object.refused[program];
  if (refusal) return { refused: refusal.errno, runs: [], maps: {} };
  scenario.prepare?.(
    object,
    scenario.inputs.map(({ data }) => data ?? new Uint8Array()),
  );
  const runs = scenario.inputs.map((input) => runLine(object, program, input));
  const maps = scenario.shared && program !== last ? {} : object.dump();
  for (const [map, ranges] of Object.entries(scenario.timeFields ?? {})) {
    const dump = maps[map];
    if (dump) maps[map] = withoutTime(dump, ranges);
  }
  for (const [map, dump] of Object.entries(maps)) maps[map] = shortened(dump);
  return { runs, maps };
}

/** Elements of a map that are kept; of bigger ones only their number and a hash. */
const KEPT_ELEMENTS = 256;

function shortened(dump: MapDump): MapDump {
  if (dump.entries.length <= KEPT_ELEMENTS) return dump;
  const hash = createHash('sha256').update(JSON.stringify(dump.entries)).digest('hex').slice(0, 24);
  return { type: dump.type, entries: [[`${dump.entries.length} elements`, hash]] };
}

/**
 * A run in one word or two: `2` (retval, packet unchanged), `3 98@14:00a1` (retval, new length and changed bytes by offset),
 * `3 118#5f0c...` (new length and hash, where more changed), `e-22` (the run's errno); then ` ctx:8=55000000` where a
 * context was given: its words that are not zero.
 */
function runLine(object: SubjectObject, program: string, input: RunInput): string {
  const output = object.run(program, input);
  if (output.errno !== 0) return `e${output.errno}`;
  const change = packetChange(hex(input.data ?? new Uint8Array()), output.data);
  return `${output.retval}${change ? ` ${change}` : ''}${input.ctx ? ` ctx:${nonZeroWords(output.ctx)}` : ''}`;
}

function nonZeroWords(context: string): string {
  const words = (context.match(/.{1,8}/g) ?? []).map((word, i) => [i * 4, word] as const);
  return words.flatMap(([at, word]) => (/^0*$/.test(word) ? [] : [`${at}=${word}`])).join(',');
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
