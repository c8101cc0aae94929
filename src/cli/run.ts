import { writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import type { LabObject, ObjectSpec } from '../index.ts';
import type { CommandContext } from './command-line.ts';
import { EXIT, UsageError } from './exit-codes.ts';
import { MapReport } from './map-report.ts';
import { PacketOutput } from './packet-output.ts';
import { openPackets, openRawPacket } from './packet-source.ts';
import { readBytes, readObject } from './read-input.ts';
import {
  chooseProgram,
  contextFromBytes,
  fillMap,
  parseContext,
  parseSetting,
  parseWords,
  splitPair,
  type TestRunWords,
} from './run-arguments.ts';
import { PacketRun } from './run-packets.ts';
import { RunReport } from './run-report.ts';
import {
  type CommonOptions,
  collect,
  type EngineOptions,
  isJson,
  wholeNumber,
  withCommon,
  withEngine,
} from './shared-options.ts';
import { SourceLines } from './source-lines.ts';
import { Trace } from './trace.ts';
import { ownVersion } from './version.ts';

type Api = typeof import('../index.ts');

interface RunCommandOptions extends CommonOptions, EngineOptions {
  readonly section?: string;
  readonly in?: string;
  readonly out?: string;
  readonly ctx?: readonly string[];
  readonly map?: readonly string[];
  readonly set?: readonly string[];
  readonly maxEntries?: readonly string[];
  readonly event?: readonly string[];
  readonly type?: string;
  readonly repeat?: number;
  readonly cpu: number;
  readonly limit?: number;
  readonly all?: boolean;
  readonly summary?: boolean;
  readonly trace?: boolean;
  readonly maps?: boolean;
  readonly stats?: boolean;
}

/** `bpflab run` */
export function runCommand(context: CommandContext): Command {
  const command = new Command('run')
    .description('run one program on packets: what BPF_PROG_TEST_RUN does, and devmap and cpumap programs too')
    .argument('<obj>', 'BPF object file, - for standard input')
    .argument('[words...]', "bpftool's words: data_in F, data_out F, ctx_in F, ctx_out F, repeat N (raw bytes)")
    .option('-s, --section <name>', 'program, by section or function name')
    .option('--in <input>', 'capture (pcap, pcapng, gzip), bytes in hex, or - (default: standard input)')
    .option('--out <file>', 'write packets: .pcapng with verdicts, or .pcap with those that go on')
    .option('--ctx <field=value>', 'set a field of the context (several: cb=1,2); again for more', collect)
    .option('--map <name=file.json>', 'fill a map before the run; again for more', collect)
    .option('--set <variable=value>', 'set a global variable before loading; again for more', collect)
    .option('--max-entries <name=n>', 'size of a map; again for more', collect)
    .option('--event <map=type>', 'C struct of the records of a ring buffer or perf event array', collect)
    .option('--type <type>', 'program type, where the section name says nothing: xdp, sched_cls, ...')
    .option('--repeat <n>', 'runs per packet, on the same buffer', (value) => wholeNumber(value, 1, 0xffffffff))
    .option('--cpu <n>', 'CPU to run on', (value) => wholeNumber(value, 0, 63), 0)
    .option('--limit <n>', 'stop after so many packets', (value) => wholeNumber(value, 0))
    .option('--all', 'show every packet and event, not only the first 20')
    .option('--summary', 'show no packets, only the summary')
    .option('--trace', 'show every instruction, with registers and C lines')
    .option('--maps', 'show all map contents, not only what changed')
    .option('--stats', 'show instructions and rates');
  return withEngine(withCommon(command)).action(
    async (path: string, words: readonly string[], options: RunCommandOptions) => {
      await run(context, path, parseWords(words), options);
    },
  );
}

async function run(
  { io, exitWith }: CommandContext,
  path: string,
  words: TestRunWords,
  options: RunCommandOptions,
): Promise<void> {
  const input = inputOf(path, words, options);
  if (options.cpu >= options.cpus) {
    throw new UsageError(`--cpu ${options.cpu}: the machine has ${options.cpus} CPUs`, 'see --cpus');
  }
  const { bytes, file } = await readObject(path, io);
  const api = await import('../index.ts');
  const lab = api.createLab({ seed: options.seed, cpus: options.cpus });
  const spec = loadSpec(api, bytes, file, options);
  if (options.verbose > 0) for (const warning of spec.warnings) io.stderr.write(`bpflab: warning: ${warning}\n`);
  const chosen = chooseProgram(spec, options.section);
  const ctx = await contextOf(api, chosen.type, words, options, io);
  const object = lab.loadSpec(spec, { maxEntries: sizesOf(spec, options) });
  const program = object.prog(chosen.name);
  if (!chosen.autoload) throw new UsageError(`${chosen.name}: autoload is off (section ${chosen.section})`);
  if (chosen.type !== 'unspec' && !program.canRun) {
    throw new UsageError(`${chosen.name}: programs of type ${chosen.type} cannot run alone`);
  }
  // Links it, so that what is missing is said before the first packet.
  void program.program;
  for (const pair of options.map ?? []) {
    const [name, from] = splitPair('--map', pair);
    await fillMap(api, object, name, from, io);
  }
  const packets = words.data_in === undefined ? openPackets(api, input, io) : openRawPacket(api, words.data_in, io);
  const toStdout = options.out === '-' || words.data_out === '-' || words.ctx_out === '-';
  const report = new RunReport(api, toStdout ? { ...io, stdout: io.stderr } : io, {
    json: isJson(options),
    pretty: options.pretty === true,
    all: options.all === true || options.verbose > 0,
    summary: options.summary === true,
    verbose: options.verbose > 0,
    programType: chosen.type,
  });
  const output =
    options.out === undefined ? undefined : new PacketOutput(api, options.out, chosen, ownVersion(), io.stdout);
  const maps = new MapReport(api, object);
  const packetRun = new PacketRun({
    api,
    io,
    object,
    program,
    report,
    output,
    trace: options.trace ? new Trace(api, object, new SourceLines(path)) : undefined,
    ctx,
    repeat: repeatOf(words, options),
    cpu: options.cpu,
    limit: options.limit ?? Number.POSITIVE_INFINITY,
    stats: options.stats === true,
    eventTypes: eventTypesOf(object, options),
  });
  const summary = await packetRun.run(packets);
  output?.finish();
  report.finish(summary, maps.contents(options.maps === true));
  const { testRun } = lab;
  if (summary.packets > summary.refused) {
    if (words.data_out !== undefined) writeRaw(words.data_out, testRun.output(), io.stdout);
    if (words.ctx_out !== undefined) writeRaw(words.ctx_out, testRun.context(), io.stdout);
  }
  if (packetRun.failed) exitWith(EXIT.failed);
}

function inputOf(path: string, words: TestRunWords, options: RunCommandOptions): string | undefined {
  if (words.data_in !== undefined && options.in !== undefined) {
    throw new UsageError('both --in and data_in are given');
  }
  const input = words.data_in ?? options.in;
  if (path === '-' && (input === undefined || input === '-')) {
    throw new UsageError('object and packets cannot both come from standard input');
  }
  return input;
}

function loadSpec(api: Api, bytes: Uint8Array, file: string, options: RunCommandOptions): ObjectSpec {
  const loading = { file, possibleCpus: options.cpus };
  let types: Record<string, string> | undefined;
  if (options.type !== undefined) {
    if (!api.progType(options.type)) {
      const known = api.PROG_TYPES.map((row) => row.name).filter((name) => api.canTestRun(name));
      throw new UsageError(
        `--type ${options.type}: there is no such program type`,
        `those that run: ${known.join(', ')}`,
      );
    }
    const opened = api.openObject(bytes, loading);
    const entries = opened.funcs.filter((func) => func.entry);
    const wanted = entries.filter(
      (func) => options.section === undefined || func.name === options.section || func.sectionName === options.section,
    );
    types = Object.fromEntries(wanted.map((func) => [func.name, options.type!]));
  }
  const spec = api.loadObject(bytes, { ...loading, ...(types && { types }) });
  for (const pair of options.set ?? []) {
    const [name, text] = splitPair('--set', pair);
    try {
      api.patchSymbol(spec, name, parseSetting(text));
    } catch (error) {
      if (error instanceof api.BpfError) throw new UsageError(`--set ${pair}: ${error.message}`);
      throw error;
    }
  }
  return spec;
}

function sizesOf(spec: ObjectSpec, options: RunCommandOptions): Record<string, number> {
  const sizes: Record<string, number> = {};
  for (const pair of options.maxEntries ?? []) {
    const [name, text] = splitPair('--max-entries', pair);
    if (!spec.maps.some((map) => map.name === name)) {
      const known = spec.maps.map((map) => map.name).join(', ') || 'none';
      throw new UsageError(`--max-entries ${name}: there is no such map`, `its maps: ${known}`);
    }
    try {
      sizes[name] = wholeNumber(text, 1, 0xffffffff);
    } catch (error) {
      if (error instanceof InvalidArgumentError) throw new UsageError(`--max-entries ${pair}: ${inSentence(error)}`);
      throw error;
    }
  }
  return sizes;
}

function checkField(name: string, field: { size: number; count?: number }, value: unknown): void {
  const numbers = (Array.isArray(value) ? value : [value]) as (number | bigint)[];
  const { size, count = 1 } = field;
  if (numbers.length > count) {
    const wanted = count === 1 ? 'one number' : `at most ${count} numbers`;
    throw new UsageError(`--ctx ${name}: it takes ${wanted}, not ${numbers.length}`);
  }
  const bits = BigInt(8 * size);
  for (const number of numbers) {
    // Negative numbers are the signed way to write the same bits.
    if (BigInt(number) < 1n << bits && BigInt(number) >= -(1n << (bits - 1n))) continue;
    throw new UsageError(`--ctx ${name}: ${number} does not fit ${bits} bits`);
  }
}

async function contextOf(
  api: Api,
  type: string,
  words: TestRunWords,
  options: RunCommandOptions,
  io: CommandContext['io'],
) {
  const fromBytes = words.ctx_in === undefined ? {} : contextFromBytes(api, type, await readBytes(words.ctx_in, io));
  const all = { ...fromBytes, ...parseContext(options.ctx ?? []) };
  const layout = api.contextOf(type);
  for (const name of Object.keys(all)) {
    const field = layout?.fields.find((row) => row.name === name);
    if (field) checkField(name, field, all[name]!);
    if (!layout || field) continue;
    const known = layout.fields.map((field) => field.name).join(', ');
    throw new UsageError(`--ctx ${name}: struct ${layout.name} has no such field`, `its fields: ${known}`);
  }
  return Object.keys(all).length ? all : undefined;
}

/** Behind a colon, as our other messages have it. */
function inSentence({ message }: Error): string {
  return message.replace(/^It/, 'it').replace(/\.$/, '');
}

function repeatOf(words: TestRunWords, options: RunCommandOptions): number {
  if (words.repeat === undefined) return options.repeat ?? 1;
  try {
    return wholeNumber(words.repeat, 0, 0xffffffff) || 1;
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw new UsageError(`repeat ${words.repeat}: ${inSentence(error)}`);
    throw error;
  }
}

/**
 * Types of records: those that the user names, or the map's own value type, or the one struct that a global pointer of
 * the object points to: the usual way to get the type of records into the BTF.
 */
function eventTypesOf(object: LabObject, options: RunCommandOptions): Map<string, number> {
  const types = new Map<string, number>();
  const { btf, variables } = object.spec;
  const hinted = new Set<number>();
  for (const { typeId } of variables) {
    const type = btf && typeId > 0 ? btf.strip(typeId) : undefined;
    const target = type?.kind === 'ptr' ? btf!.strip(type.type) : undefined;
    if (target?.kind === 'struct') hinted.add(target.id);
  }
  for (const map of object.maps) {
    if (map.type !== 'ringbuf' && map.type !== 'perf_event_array') continue;
    if (map.type === 'ringbuf' && map.spec?.valueTypeId) types.set(map.name, map.spec.valueTypeId);
    else if (hinted.size === 1) types.set(map.name, [...hinted][0]!);
  }
  for (const pair of options.event ?? []) {
    const [name, type] = splitPair('--event', pair);
    const withEvents = object.maps.filter((map) => map.type === 'ringbuf' || map.type === 'perf_event_array');
    if (!withEvents.some((map) => map.name === name)) {
      const known = withEvents.map((map) => map.name).join(', ') || 'none';
      throw new UsageError(`--event ${name}: there is no such ring buffer or perf event array`, `there is: ${known}`);
    }
    const id = btf?.find(type.replace(/^struct /, ''), 'struct')?.id ?? btf?.find(type, 'typedef')?.id;
    if (!id) throw new UsageError(`--event ${pair}: the object has no struct or typedef ${type}`);
    types.set(name, id);
  }
  return types;
}

function writeRaw(path: string, bytes: Uint8Array, stdout: CommandContext['io']['stdout']): void {
  if (path === '-') stdout.write(bytes);
  else {
    try {
      writeFileSync(path, bytes);
    } catch (error) {
      throw new UsageError(`${path}: ${(error as Error).message}`);
    }
  }
}
