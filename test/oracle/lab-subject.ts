import { BpfError, FaultError } from '../../src/base/error.ts';
import { contextOf } from '../../src/hooks/test-run.ts';
import { createLab, type Lab, type LabObject } from '../../src/lab.ts';
import type { LabMap } from '../../src/lab-map.ts';
import type { ObjectSpec } from '../../src/loader/spec.ts';
import type { BpfMap } from '../../src/maps/map.ts';
import { MapFd } from '../../src/maps/syscall.ts';
import { Interpreter } from '../../src/vm/interpreter.ts';
import { formatDump, isArray, readingOf } from './dump-format.ts';
import { hex, viewOf } from './libc.ts';
import type { LoadOptions, MapDump, Refusal, RunInput, RunOutput, Subject, SubjectObject } from './subject.ts';

/** An object in a lab: user space works through the map system calls, runs through the test run. */
class LabSubjectObject implements SubjectObject {
  readonly refused: Record<string, Refusal> = {};
  readonly programs: readonly string[];
  readonly #lab: Lab;
  readonly #object: LabObject;

  constructor(lab: Lab, spec: ObjectSpec, options: LoadOptions) {
    this.#lab = lab;
    this.#object = lab.loadSpec(spec);
    for (const map of this.#object.maps) if (map.type === 'perf_event_array') map.openEvents();
    const wanted = spec.programs.filter(({ name, autoload }) => options.programs?.includes(name) ?? autoload);
    this.programs = wanted.map(({ name }) => name).filter((name) => this.#accepted(name));
  }

  /** Links the program; a refusal goes into `refused`. */
  #accepted(name: string): boolean {
    try {
      return this.#object.prog(name).program !== undefined;
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      this.refused[name] = { errno: error.errno, log: error.message };
      return false;
    }
  }

  get maps(): readonly string[] {
    return this.#object.maps.map(({ name }) => name);
  }

  /** The lab's map and its system calls. */
  #map(name: string): { readonly map: BpfMap; readonly fd: MapFd } {
    const { machine } = this.#lab;
    const labMap = this.#object.map(name);
    return { map: labMap.map, fd: new MapFd(machine, labMap.fd) };
  }

  run(name: string, input: RunInput): RunOutput {
    const program = this.#object.prog(name);
    try {
      const { retval, data, ctx } = program.run(input.data ?? new Uint8Array(), {
        repeat: input.repeat ?? 1,
        ...(input.ctx ? { ctx: contextValues(program.spec.type, input.ctx) } : {}),
      });
      return { errno: 0, retval, data: hex(data), ctx: input.ctx ? hex(ctx) : '' };
    } catch (error) {
      if (!(error instanceof BpfError) || error instanceof FaultError) throw error;
      return { errno: error.errno, retval: 0, data: '', ctx: '' };
    }
  }

  lookup(name: string, key: Uint8Array): Uint8Array | number {
    return this.#map(name).fd.read(key);
  }

  update(name: string, key: Uint8Array | undefined, value: Uint8Array, flags = 0): number {
    const { map, fd } = this.#map(name);
    const size = map.sys.wireValueSize;
    if (size === value.length) return fd.update(key, value, BigInt(flags));
    const slots = new Uint8Array(size);
    for (let at = 0; at < size; at += Math.ceil(map.valueSize / 8) * 8) slots.set(value, at);
    return fd.update(key, slots, BigInt(flags));
  }

  delete(name: string, key: Uint8Array): number {
    return this.#map(name).fd.delete(key);
  }

  dump(): Record<string, MapDump> {
    return Object.fromEntries(this.#object.maps.map((map) => [map.spec!.name, this.#dumpLabMap(map)]));
  }

  #dumpLabMap(map: LabMap): MapDump {
    const { type } = map;
    if (type !== 'ringbuf' && type !== 'perf_event_array')
      return this.#dump(map.map, new MapFd(map.machine, map.fd), type);
    const entries = map
      .takeEvents()
      .map(({ cpu, data, lost }) => [cpu === undefined ? '' : String(cpu), lost ? `lost ${lost}` : hex(data)] as const);
    return { type, entries };
  }

  #dump(map: BpfMap, fd: MapFd, type: string): MapDump {
    const reading = readingOf(map.typeId);
    if (reading === 'none') return { type, entries: [] };
    if (reading === 'pop') return { type, entries: popAll(map, fd) };
    const { machine } = this.#lab;
    const elements: [Uint8Array, Uint8Array][] = [];
    const value = new Uint8Array(map.sys.wireValueSize);
    let key: Uint8Array | undefined;
    for (;;) {
      const next = new Uint8Array(map.keySize);
      if (fd.nextKey(key, next) < 0) break;
      // Zero elements of arrays are not shown; most of a big array is.
      const found = fd.lookup(next, value) === 0;
      if (found && !(isArray(map.typeId) && value.every((byte) => byte === 0))) elements.push([next, value.slice()]);
      key = next;
    }
    return formatDump(type, map, elements, {
      program: (id) => machine.programs.get(id)?.name,
      inner: (id) => {
        const inner = [...machine.maps.values()].find((candidate) => candidate.id === id);
        if (!inner) throw new Error(`lab: no inner map ${id}`);
        const innerFd = machine.fds.open(inner);
        const dump = this.#dump(inner, new MapFd(machine, innerFd), 'inner');
        machine.fds.close(innerFd);
        return dump;
      },
    });
  }

  /** A lab keeps what was loaded into it; this gives back what the next object may need. */
  close(): void {
    const { machine, engine } = this.#lab;
    if (engine instanceof Interpreter) engine.reset();
    for (const { map } of this.#object.maps) {
      machine.maps.delete(map.handle);
      map.destroy();
    }
  }
}

function popAll(map: BpfMap, fd: MapFd): MapDump['entries'] {
  const out: (readonly [string, string])[] = [];
  for (;;) {
    const value = new Uint8Array(map.sys.wireValueSize);
    if (fd.lookupAndDelete(undefined, value) < 0) return out;
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

let lab: Lab | undefined;

/** The lab's interpreter as a subject; one lab serves all objects of a test file. */
export const interpreterSubject: Subject = {
  name: 'interpreter',
  load: (spec, options = {}) => {
    lab ??= createLab({ cpus: 2 });
    return new LabSubjectObject(lab, spec, options);
  },
};
