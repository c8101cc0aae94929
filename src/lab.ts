import { BpfError, LoadError } from './base/error.ts';
import { fibOf } from './hooks/fib-lookup.ts';
import { type ContextValues, canTestRun, TestRun } from './hooks/test-run.ts';
import { LabMap } from './lab-map.ts';
import { loadObject, type LoadOptions as ObjectOptions } from './loader/object.ts';
import type { LineSpec, MapSpec, ObjectSpec, ProgramSpec } from './loader/spec.ts';
import { specialFields } from './loader/special-fields.ts';
import type { BpfMap, MapAttr } from './maps/map.ts';
import { requireMap } from './maps/map-types.ts';
import type { Fib } from './net/fib.ts';
import { platform } from './platform.ts';
import { verdictName } from './verdict.ts';
import type { Engine } from './vm/engine.ts';
import { Interpreter, type TraceHook } from './vm/interpreter.ts';
import { Machine, type TraceLine } from './vm/machine.ts';
import { loadProgram, type Program, type SourceLine } from './vm/program.ts';

export interface LabOptions {
  /** Seed of everything random; same seed, same bytes. Default 1. */
  readonly seed?: number;
  /** Possible CPUs, 1 to 64; default 2. */
  readonly cpus?: number;
  /** Bytes of linear memory (address space, not RAM); default 1 GiB. */
  readonly memory?: number;
  /** Instructions that one run may execute before it is stopped; default 1,000,000,000. */
  readonly budget?: number;
}

/** Options of `Lab.load`: those of the loader, and what user space changes before it loads. */
export interface LabLoadOptions extends ObjectOptions {
  /** Sizes by map name, as bpf_map__set_max_entries. */
  readonly maxEntries?: Readonly<Record<string, number>>;
}

/** What one run of a program gave. */
export interface RunResult {
  /** r0's low 32 bits, unsigned. */
  readonly retval: number;
  /** `XDP_PASS`, `TC_ACT_SHOT`, ...; the number where the type has no names. */
  readonly verdict: string;
  /** Packet afterwards; metadata first when the program added some. */
  readonly data: Uint8Array;
  /** Bytes of metadata at the start of `data`. */
  readonly metaLength: number;
  /** Context struct afterwards, as BPF_PROG_TEST_RUN's ctx_out. */
  readonly ctx: Uint8Array;
  /** Instructions executed. */
  readonly insns: number;
  /** Where a REDIRECT verdict points. */
  readonly redirect?: RedirectTarget;
}

export interface RedirectTarget {
  /** Device number; of a map redirect, the key. */
  readonly index: number;
  readonly map?: string;
  readonly flags: number;
}

export interface RunOptions {
  readonly ctx?: ContextValues;
  readonly repeat?: number;
  readonly cpu?: number;
}

/** A lab: one machine with its engine; objects are loaded into it and run on it. Synchronous, deterministic. */
export class Lab {
  readonly machine: Machine;
  readonly engine: Engine;
  readonly testRun: TestRun;
  readonly #interpreter: Interpreter;

  constructor(options: LabOptions = {}) {
    const { cpus = 2 } = options;
    if (!Number.isInteger(cpus) || cpus < 1 || cpus > 64) {
      throw new BpfError(`${cpus} CPUs: a lab has 1 to 64`, { errno: 'EINVAL' });
    }
    this.machine = new Machine(options);
    this.#interpreter = new Interpreter(this.machine);
    if (options.budget !== undefined) this.#interpreter.budget = options.budget;
    this.engine = this.#interpreter;
    this.testRun = new TestRun(this.machine, this.engine);
    this.testRun.deviceExists = (ifindex) => this.fib.device(ifindex) !== undefined;
  }

  /** Devices, routes and neighbours that bpf_fib_lookup sees. */
  get fib(): Fib {
    return fibOf.of(this.machine);
  }

  /** Receives every line of bpf_trace_printk. */
  set onTrace(listener: ((line: TraceLine) => void) | undefined) {
    this.machine.onTrace = listener;
  }

  /** Called before each instruction with its program and r0..r10 as lo/hi pairs; undefined: not called, full speed. */
  set onStep(hook: TraceHook | undefined) {
    this.#interpreter.traceHook = hook;
  }

  /**
   * Runs bare instructions with r1 = address of `memory` (0 when that is empty) and r2 = its length, as conformance suites
   * want; gives all of r0.
   * @throws LoadError, FaultError
   */
  runRaw(insns: Uint8Array, memory: Uint8Array): bigint {
    const { machine } = this;
    const program = loadProgram(machine, { name: 'raw', type: 'xdp', license: 'GPL', insns }, platform);
    const size = memory.length;
    const region = size ? machine.memory.allocate(size, { kind: 'mem', name: 'memory' }) : undefined;
    if (region) machine.memory.u8.set(memory, region.start);
    const { registers } = this.#interpreter;
    try {
      registers.set([size, 0], 4);
      this.#interpreter.run(program, machine.cpuList[0]!, region?.start ?? 0);
      return (BigInt(registers[1]! >>> 0) << 32n) | BigInt(registers[0]! >>> 0);
    } finally {
      if (region) machine.memory.free(region);
    }
  }

  /**
   * Loads an object file: creates its maps and makes its programs ready to load (each is linked when it is first used).
   * @throws LoadError, MapError
   */
  load(bytes: Uint8Array, options: LabLoadOptions = {}): LabObject {
    return this.loadSpec(loadObject(bytes, { possibleCpus: this.machine.cpus, ...options }), options);
  }

  /** The same for a spec: what the loader made, or `rawProgram`. */
  loadSpec(spec: ObjectSpec, options: Pick<LabLoadOptions, 'maxEntries'> = {}): LabObject {
    return new LabObject(this, spec, options.maxEntries ?? {});
  }

  /** Creates a map that no object describes. */
  createMap(attr: MapAttr): LabMap {
    const map = requireMap(this.machine, attr);
    this.machine.maps.set(map.handle, map);
    return new LabMap(this.machine, map, undefined, undefined);
  }
}

/** Makes a lab. */
export function createLab(options: LabOptions = {}): Lab {
  return new Lab(options);
}

/** A loaded object: programs and maps by their C names. */
export class LabObject {
  readonly lab: Lab;
  readonly spec: ObjectSpec;
  readonly programs: readonly LabProgram[];
  readonly maps: readonly LabMap[];
  readonly #maps: readonly BpfMap[];

  constructor(lab: Lab, spec: ObjectSpec, maxEntries: Readonly<Record<string, number>>) {
    this.lab = lab;
    this.spec = spec;
    for (const name of Object.keys(maxEntries)) this.#mapSpec(name);
    this.#maps = spec.maps.map((map) => this.#create(map, maxEntries[map.name]));
    this.maps = spec.maps.map((map, index) => {
      return new LabMap(lab.machine, this.#maps[index]!, map, spec.btf);
    });
    this.programs = spec.programs.map((program) => new LabProgram(this, program, this.#maps));
    this.#fill();
  }

  /** @throws BpfError listing the names there are. */
  map(name: string): LabMap {
    const index = this.spec.maps.indexOf(this.#mapSpec(name));
    return this.maps[index]!;
  }

  /** A program by its function name. @throws BpfError listing the names there are. */
  prog(name: string): LabProgram {
    const found = this.programs.find((program) => program.spec.name === name);
    if (found) return found;
    const known = this.programs.map((program) => program.spec.name).join(', ') || 'none';
    throw new BpfError(`${this.spec.name} has no program ${name}`, { errno: 'ENOENT', hint: `its programs: ${known}` });
  }

  #mapSpec(name: string): MapSpec {
    const found = this.spec.maps.find((map) => map.name === name);
    if (found) return found;
    const known = this.spec.maps.map((map) => map.name).join(', ') || 'none';
    throw new BpfError(`${this.spec.name} has no map ${name}`, { errno: 'ENOENT', hint: `its maps: ${known}` });
  }

  #create(spec: MapSpec, maxEntries?: number): BpfMap {
    const { machine } = this.lab;
    const inner = spec.innerMap ? this.#create(spec.innerMap) : undefined;
    const btf = this.spec.btf;
    const fields = btf && spec.valueTypeId > 0 ? specialFields(btf, spec.valueTypeId) : undefined;
    const map = requireMap(machine, {
      type: spec.type,
      name: spec.name,
      keySize: spec.keySize,
      valueSize: spec.valueSize,
      maxEntries: maxEntries ?? spec.maxEntries,
      flags: spec.flags,
      mapExtra: BigInt(spec.mapExtra),
      numaNode: spec.numaNode,
      ...(inner && { innerMap: inner }),
      ...(fields && { fields }),
    });
    machine.maps.set(map.handle, map);
    return map;
  }

  /** First contents of data sections and static slots. */
  #fill(): void {
    for (const [index, spec] of this.spec.maps.entries()) {
      const map = this.maps[index]!;
      if (spec.initial) map.init(spec.initial, spec.frozen);
      for (const slot of spec.values ?? []) {
        if (slot.map !== undefined) map.setSlot(slot.slot, this.#maps[slot.map]!);
        else if (slot.program !== undefined) map.setSlot(slot.slot, this.prog(slot.program).program);
      }
    }
  }
}

/** A program of an object; linked against maps and helpers when it is first used. */
export class LabProgram {
  readonly object: LabObject;
  readonly spec: ProgramSpec;
  readonly #maps: readonly BpfMap[];
  #program: Program | undefined;

  constructor(object: LabObject, spec: ProgramSpec, maps: readonly BpfMap[]) {
    this.object = object;
    this.spec = spec;
    this.#maps = maps;
  }

  get name(): string {
    return this.spec.name;
  }

  /** The linked program. @throws LoadError when a helper is missing or the encoding is invalid. */
  get program(): Program {
    if (this.#program) return this.#program;
    const { object, spec } = this;
    if (spec.type === 'unspec') {
      throw new LoadError(`section '${spec.section}' does not say what type of program this is`, {
        program: spec.name,
        errno: 'EINVAL',
        hint: `give one, e.g. types: { '${spec.section}': 'xdp' } or --type xdp`,
      });
    }
    this.#program = loadProgram(
      object.lab.machine,
      {
        name: spec.name,
        type: spec.type,
        expectedAttachType: spec.expectedAttachType,
        flags: spec.flags,
        license: spec.license ?? object.spec.license,
        insns: spec.insns,
        maps: this.#maps,
        kfuncs: object.spec.kfuncs.map((kfunc) => kfunc.name),
        lineAt: (slot) => lineAt(spec.lines, slot),
      },
      platform,
    );
    object.lab.machine.fds.open(this.#program);
    return this.#program;
  }

  /** Can this program run on its own? */
  get canRun(): boolean {
    return canTestRun(this.spec.type);
  }

  /**
   * Runs the program on one packet: what BPF_PROG_TEST_RUN does, and devmap and cpumap programs too, which it refuses.
   * @throws FaultError when the program touches memory that it may not, or runs out of its budget.
   */
  run(data: Uint8Array, options: RunOptions = {}): RunResult {
    const { lab } = this.object;
    const retval = lab.testRun.run(this.program, data, options);
    const verdict = verdictName(this.spec.type, retval);
    const record = lab.machine.cpuList[options.cpu ?? 0]!.redirect;
    return {
      retval,
      verdict,
      data: lab.testRun.output(),
      metaLength: lab.testRun.metaLength,
      ctx: lab.testRun.context(),
      insns: lab.engine.executed,
      ...(verdict.endsWith('_REDIRECT') && {
        redirect: { index: record.index, flags: record.flags, ...(record.map && { map: record.map.name }) },
      }),
    };
  }

  /**
   * The same without its results' cost, for long captures: returns r0 only; the packet stays in the lab's buffer
   * (`lab.testRun.output()`).
   */
  runFast(data: Uint8Array, options?: RunOptions): number {
    return this.object.lab.testRun.run(this.program, data, options);
  }
}

/** Line of the last record at or before the slot. */
function lineAt(lines: readonly LineSpec[], slot: number): SourceLine | undefined {
  let found: LineSpec | undefined;
  let low = 0;
  let high = lines.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (lines[middle]!.slot <= slot) {
      found = lines[middle];
      low = middle + 1;
    } else high = middle - 1;
  }
  return found;
}
