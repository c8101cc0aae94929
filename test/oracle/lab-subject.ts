import { E } from '../../src/base/errno.ts';
import { BpfError } from '../../src/base/error.ts';
import { contextOf, TestRun } from '../../src/hooks/test-run.ts';
import type { MapSpec, ObjectSpec, ProgramSpec } from '../../src/loader/spec.ts';
import type { BpfMap } from '../../src/maps/map.ts';
import { requireMap } from '../../src/maps/map-types.ts';
import { platform } from '../../src/platform.ts';
import { Interpreter } from '../../src/vm/interpreter.ts';
import { Machine } from '../../src/vm/machine.ts';
import { loadProgram, type Program } from '../../src/vm/program.ts';
import { formatDump, readingOf } from './dump-format.ts';
import { hex, viewOf } from './libc.ts';
import type { LoadOptions, MapDump, Refusal, RunInput, RunOutput, Subject, SubjectObject } from './subject.ts';

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

/** An object loaded into a machine of its own: maps, linked programs, the interpreter, and BPF_PROG_TEST_RUN. */
class LabObject implements SubjectObject {
  readonly refused: Record<string, Refusal> = {};
  readonly #machine = new Machine({ cpus: 2, memory: 1 << 28 });
  readonly #testRun: TestRun;
  readonly #maps = new Map<string, BpfMap>();
  readonly #programs = new Map<string, Program>();

  constructor(spec: ObjectSpec, options: LoadOptions) {
    this.#testRun = new TestRun(this.#machine, new Interpreter(this.#machine));
    const maps = spec.maps.map((map) => this.#createMap(map));
    spec.maps.forEach((map, i) => {
      this.#maps.set(map.name, maps[i]!);
      if (map.initial) this.#check(maps[i]!.sys.update(new Uint8Array(4), map.initial, 0n), `initial ${map.name}`);
      if (map.frozen) maps[i]!.frozen = true;
      for (const { slot, map: inner } of map.values ?? []) {
        if (inner !== undefined) this.#setSlot(maps[i]!, slot, maps[inner]!);
      }
    });
    for (const prog of spec.programs) {
      if (options.programs ? options.programs.includes(prog.name) : prog.autoload) this.#load(prog, spec, maps);
    }
    spec.maps.forEach((map, i) => {
      for (const { slot, program } of map.values ?? []) {
        const target = program === undefined ? undefined : this.#programs.get(program);
        if (target) this.#setSlot(maps[i]!, slot, target);
      }
    });
  }

  #check(result: number, what: string): void {
    if (result < 0) throw new Error(`lab: ${what}: errno ${-result}`);
  }

  #setSlot(map: BpfMap, slot: number, object: BpfMap | Program): void {
    const fd = this.#machine.fds.find(object) ?? this.#machine.fds.open(object);
    this.#check(map.sys.update(u32(slot), u32(fd), 0n), `slot ${slot} of ${map.name}`);
  }

  #createMap(spec: MapSpec): BpfMap {
    const innerMap = spec.innerMap && this.#createMap(spec.innerMap);
    const map = requireMap(this.#machine, {
      type: spec.type,
      name: spec.kernelName,
      keySize: spec.keySize,
      valueSize: spec.valueSize,
      maxEntries: spec.maxEntries === 0 && spec.type === 'perf_event_array' ? this.#machine.cpus : spec.maxEntries,
      flags: spec.flags,
      mapExtra: BigInt(spec.mapExtra),
      numaNode: spec.numaNode,
      ...(innerMap ? { innerMap } : {}),
    });
    this.#machine.maps.set(map.handle, map);
    return map;
  }

  #load(prog: ProgramSpec, spec: ObjectSpec, maps: readonly BpfMap[]): void {
    try {
      const program = loadProgram(
        this.#machine,
        {
          name: prog.name,
          type: prog.type,
          expectedAttachType: prog.expectedAttachType,
          flags: prog.flags,
          license: prog.license ?? spec.license,
          insns: prog.insns,
          maps,
          kfuncs: spec.kfuncs.map(({ name }) => name),
        },
        platform,
      );
      this.#programs.set(prog.name, program);
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      this.refused[prog.name] = { errno: error.errno, log: error.message };
    }
  }

  get programs(): readonly string[] {
    return [...this.#programs.keys()];
  }

  get maps(): readonly string[] {
    return [...this.#maps.keys()];
  }

  #map(name: string): BpfMap {
    const map = this.#maps.get(name);
    if (!map) throw new Error(`lab: no map ${name}`);
    return map;
  }

  run(name: string, input: RunInput): RunOutput {
    const program = this.#programs.get(name);
    if (!program) throw new Error(`lab: no program ${name}`);
    try {
      const retval = this.#testRun.run(program, input.data ?? new Uint8Array(), {
        repeat: input.repeat ?? 1,
        ...(input.ctx ? { ctx: contextValues(program.type, input.ctx) } : {}),
      });
      const ctx = input.ctx ? hex(this.#testRun.context()) : '';
      return { errno: 0, retval, data: hex(this.#testRun.output()), ctx };
    } catch (error) {
      if (!(error instanceof BpfError) || error.name === 'FaultError') throw error;
      return { errno: error.errno, retval: 0, data: '', ctx: '' };
    }
  }

  lookup(name: string, key: Uint8Array): Uint8Array | number {
    const map = this.#map(name);
    const out = new Uint8Array(map.sys.wireValueSize);
    const result = map.sys.lookup(key, 0n, out);
    return result < 0 ? result : out;
  }

  update(name: string, key: Uint8Array | undefined, value: Uint8Array, flags = 0): number {
    const map = this.#map(name);
    const slots = new Uint8Array(map.sys.wireValueSize);
    const step = value.length === map.sys.wireValueSize ? value.length : Math.ceil(map.valueSize / 8) * 8;
    for (let at = 0; at < slots.length; at += step) slots.set(value, at);
    return map.sys.update(key ?? new Uint8Array(), slots, BigInt(flags));
  }

  delete(name: string, key: Uint8Array): number {
    return this.#map(name).sys.delete(key);
  }

  dump(): Record<string, MapDump> {
    return Object.fromEntries([...this.#maps].map(([name, map]) => [name, this.#dump(map, map.type)]));
  }

  #dump(map: BpfMap, type: string): MapDump {
    const reading = readingOf(map.typeId);
    if (reading === 'none') return { type, entries: [] };
    if (reading === 'pop') return { type, entries: popAll(map) };
    const elements: [Uint8Array, Uint8Array][] = [];
    let key: Uint8Array | undefined;
    for (;;) {
      const next = new Uint8Array(map.keySize);
      if (map.sys.nextKey(key, next) < 0) break;
      const value = new Uint8Array(map.sys.wireValueSize);
      if (map.sys.lookup(next, 0n, value) === 0) elements.push([next, value]);
      key = next;
    }
    return formatDump(type, map, elements, {
      program: (id) => [...this.#programs.values()].find((program) => program.id === id)?.name,
      inner: (id) => {
        const inner = [...this.#machine.maps.values()].find((candidate) => candidate.id === id);
        if (!inner) throw new Error(`lab: no inner map ${id}`);
        return this.#dump(inner, 'inner');
      },
    });
  }

  close(): void {
    for (const map of this.#maps.values()) map.destroy();
  }
}

function popAll(map: BpfMap): MapDump['entries'] {
  const out: (readonly [string, string])[] = [];
  for (;;) {
    const value = new Uint8Array(map.sys.wireValueSize);
    const result = map.sys.lookupAndDelete?.(new Uint8Array(), 0n, value) ?? -E.EINVAL;
    if (result < 0) return out;
    out.push(['', hex(value)]);
  }
}

/** ctx_in as the lab takes it: fields by name, the zero ones left out. */
function contextValues(type: string, bytes: Uint8Array): Record<string, number | bigint | number[]> {
  const layout = contextOf(type);
  if (!layout) throw new Error(`lab: programs of type ${type} take no context`);
  const padded = new Uint8Array(layout.size);
  padded.set(bytes.subarray(0, layout.size));
  const view = viewOf(padded);
  const values: Record<string, number | bigint | number[]> = {};
  for (const field of layout.fields) {
    const read = (at: number) =>
      field.size === 8 ? view.getBigUint64(at, true) : field.size === 1 ? view.getUint8(at) : view.getUint32(at, true);
    if (field.count) {
      const elements = Array.from({ length: field.count }, (_, i) => Number(read(field.offset + i * field.size)));
      if (elements.some((element) => element !== 0)) values[field.name] = elements;
    } else {
      const value = read(field.offset);
      if (value !== 0 && value !== 0n) values[field.name] = value;
    }
  }
  if (type === 'xdp') values.data_end ??= 0;
  return values;
}

/** The lab's interpreter as a subject. */
export const interpreterSubject: Subject = {
  name: 'interpreter',
  load: (spec, options = {}) => new LabObject(spec, options),
};
