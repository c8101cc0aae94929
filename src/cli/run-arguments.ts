import type { ContextValues, LabMap, LabObject, ObjectSpec, ProgramSpec } from '../index.ts';
import { UsageError } from './exit-codes.ts';
import type { Io } from './io.ts';
import { readBytes } from './read-input.ts';

type Api = typeof import('../index.ts');
type MapInput = Parameters<LabMap['set']>[1];

/** bpftool's words behind the object: `data_in F data_out F ctx_in F ctx_out F repeat N`. */
export interface TestRunWords {
  readonly data_in?: string;
  readonly data_out?: string;
  readonly ctx_in?: string;
  readonly ctx_out?: string;
  readonly repeat?: string;
}

const WORDS = ['data_in', 'data_out', 'ctx_in', 'ctx_out', 'repeat'];

/** Reads bpftool's words. @throws UsageError */
export function parseWords(words: readonly string[]): TestRunWords {
  const found: Record<string, string> = {};
  for (let i = 0; i < words.length; i += 2) {
    const [word, value] = [words[i]!, words[i + 1]];
    if (!WORDS.includes(word)) throw new UsageError(`unexpected '${word}'`, `words here are ${WORDS.join(', ')}`);
    if (value === undefined) throw new UsageError(`'${word}' needs a value`);
    if (word in found) throw new UsageError(`'${word}' is given twice`);
    found[word] = value;
  }
  return found;
}

/** Splits `NAME=VALUE`. @throws UsageError */
export function splitPair(option: string, text: string): [name: string, value: string] {
  const at = text.indexOf('=');
  if (at <= 0) throw new UsageError(`${option} ${text}: it has to be NAME=VALUE`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function integer(option: string, text: string): number | bigint {
  if (!/^-?(0x[0-9a-f]+|\d+)$/i.test(text)) throw new UsageError(`${option}: '${text}' is not a number`);
  const value = text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** `--ctx mark=5 --ctx cb=1,2`: fields of the context. */
export function parseContext(pairs: readonly string[]): ContextValues {
  const values: Record<string, number | bigint | number[]> = {};
  for (const pair of pairs) {
    const [name, text] = splitPair('--ctx', pair);
    const numbers = text.split(',').map((part) => integer(`--ctx ${name}`, part));
    values[name] = numbers.length === 1 ? numbers[0]! : numbers.map(Number);
  }
  return values;
}

/** Fields of the context struct from its bytes (`ctx_in`); those that are zero are left out. */
export function contextFromBytes(api: Api, type: string, bytes: Uint8Array): ContextValues {
  const layout = api.contextOf(type);
  if (!layout) throw new UsageError(`ctx_in: programs of type ${type} have no context here`);
  if (bytes.subarray(layout.size).some((byte) => byte !== 0)) {
    throw new UsageError(`ctx_in: ${bytes.length} bytes, but struct ${layout.name} has ${layout.size} (E2BIG)`);
  }
  const padded = new Uint8Array(layout.size);
  padded.set(bytes.subarray(0, layout.size));
  const view = new DataView(padded.buffer);
  const values: Record<string, number | bigint | number[]> = {};
  for (const { name, offset, size, count = 1 } of layout.fields) {
    const numbers = Array.from({ length: count }, (_, i) => {
      const at = offset + i * size;
      if (size === 8) return view.getBigUint64(at, true);
      return size === 4 ? view.getUint32(at, true) : view.getUint8(at);
    });
    if (numbers.every((number) => Number(number) === 0)) continue;
    values[name] = count === 1 ? numbers[0]! : numbers.map(Number);
  }
  return values;
}

/** Value of `--set`: JSON where it is JSON, else text. */
export function parseSetting(text: string): unknown {
  if (/^-?\d{16,}$/.test(text)) return BigInt(text);
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The program that `-s` names, or the only one. @throws UsageError that lists what there is */
export function chooseProgram(spec: Pick<ObjectSpec, 'name' | 'programs'>, wanted: string | undefined): ProgramSpec {
  const { programs } = spec;
  const list = (rows: readonly ProgramSpec[]) =>
    rows.map((row) => (row.name === row.section ? row.name : `${row.name} (${row.section})`)).join(', ');
  if (programs.length === 0) throw new UsageError(`${spec.name} has no programs`);
  if (wanted === undefined) {
    if (programs.length === 1) return programs[0]!;
    throw new UsageError(`${spec.name} has ${programs.length} programs`, `choose one with -s: ${list(programs)}`);
  }
  const byName = programs.find((row) => row.name === wanted);
  if (byName) return byName;
  const bySection = programs.filter((row) => row.section === wanted || row.section === `?${wanted}`);
  if (bySection.length === 1) return bySection[0]!;
  if (bySection.length > 1) {
    throw new UsageError(
      `section ${wanted} has ${bySection.length} programs`,
      `choose one with -s: ${list(bySection)}`,
    );
  }
  throw new UsageError(`${spec.name} has no program or section '${wanted}'`, `there is ${list(programs)}`);
}

/** Fills a map from a JSON file (`--map NAME=FILE.json`). @throws UsageError */
export async function fillMap(api: Api, object: LabObject, name: string, path: string, io: Io): Promise<void> {
  const map = object.maps.find((candidate) => candidate.name === name);
  if (!map) {
    const known = object.maps.map((candidate) => candidate.name).join(', ') || 'none';
    throw new UsageError(`--map ${name}: there is no such map`, `its maps: ${known}`);
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(await readBytes(path, io)));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UsageError(`${path}: not JSON: ${error.message}`);
  }
  try {
    if (['queue', 'stack', 'bloom_filter'].includes(map.type)) {
      if (!Array.isArray(json)) throw new UsageError(`${path}: a ${map.type} takes an array of values`);
      for (const value of json) map.push(input(value));
      return;
    }
    for (const [key, value] of entriesOf(json, path)) setEntry(object, map, key, value);
  } catch (error) {
    if (!(error instanceof api.BpfError)) throw error;
    throw new UsageError(`${path}: ${error.message}`);
  }
}

/** `{"0": ...}`, `[{"key": ..., "value": ...}]`, `[[key, value]]`, or what `bpftool map dump -j` prints. */
function entriesOf(json: unknown, path: string): [unknown, unknown][] {
  if (Array.isArray(json)) {
    return json.map((row, i) => {
      if (Array.isArray(row) && row.length === 2) return [row[0], row[1]];
      const entry = row?.formatted ?? row;
      // Of maps with a value per CPU bpftool prints "values": [{"cpu": 0, "value": ...}].
      if (entry?.key !== undefined && Array.isArray(entry.values)) {
        return [entry.key, entry.values.map((one: { value?: unknown } | null) => one?.value)];
      }
      if (typeof entry === 'object' && entry !== null && 'key' in entry && 'value' in entry) {
        return [entry.key, entry.value];
      }
      throw new UsageError(`${path}: element ${i} is neither {"key": ..., "value": ...} nor [key, value]`);
    });
  }
  if (typeof json === 'object' && json !== null) return Object.entries(json);
  throw new UsageError(`${path}: an object or an array of entries is wanted`);
}

/**
 * Bytes written as bpftool does, `["0x0a", "0x00"]`, become bytes. Numbers become text, which typed maps put into
 * network order where the field is one (`__be16 port`: 443), as they show it.
 */
function input(value: unknown): MapInput {
  if (Array.isArray(value)) {
    if (value.length > 0 && value.every((part) => /^0x[0-9a-f]{2}$/i.test(String(part)))) {
      return Uint8Array.from(value, Number);
    }
    return value.map(input);
  }
  if (typeof value === 'number') return String(value);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, input(member)]));
  }
  return value as MapInput;
}

function setEntry(object: LabObject, map: LabMap, key: unknown, value: unknown): void {
  const fds = map.machine.fds;
  const program = (name: unknown) => {
    const { program: loaded } = object.prog(String(name));
    return fds.find(loaded) ?? fds.open(loaded);
  };
  const words = (...numbers: number[]) => new Uint8Array(Uint32Array.from(numbers).buffer).slice(0, map.map.valueSize);
  const fields = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  switch (map.type) {
    case 'prog_array':
      map.setSlot(Number(key), object.prog(String(value)).program);
      return;
    case 'array_of_maps':
    case 'hash_of_maps':
      map.set(input(key), words(object.map(String(value)).fd));
      return;
    case 'devmap':
    case 'devmap_hash':
    case 'cpumap': {
      // { "ifindex": 4, "prog": "xdp_egress" }; { "qsize": 192, "prog": "xdp_on_cpu" }
      const first = map.type === 'cpumap' ? fields.qsize : fields.ifindex;
      const number = typeof value === 'number' ? value : Number(first);
      if (!Number.isInteger(number) || number < 0 || number > 0xffffffff) {
        throw new UsageError(
          `${map.name}: an entry is a number or {"${map.type === 'cpumap' ? 'qsize' : 'ifindex'}": N, "prog": NAME}`,
        );
      }
      map.set(input(key), words(number, fields.prog === undefined ? 0 : program(fields.prog)));
      return;
    }
    default:
      map.set(input(key), input(value));
  }
}
