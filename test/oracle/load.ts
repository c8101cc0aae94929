import { readFileSync } from 'node:fs';
import { errnoText } from '../../src/base/errno.ts';
import type { MapSpec, ObjectSpec, ProgramSpec } from '../../src/loader/spec.ts';
import { btfForKernel, functionIds } from './btf-for-kernel.ts';
import { dumpMap } from './dump.ts';
import { btfLoad, closeFd, objId, pinToCpu, progLoad, progTestRun } from './kernel.ts';
import {
  isPerCpu,
  mapCreate,
  mapDelete,
  mapFreeze,
  mapLookup,
  mapUpdate,
  possibleCpus,
  userValueSize,
} from './kernel-maps.ts';
import { hex, viewOf } from './libc.ts';
import { PerfReader, RingReader, UserRingWriter } from './rings.ts';
import type { LoadOptions, MapDump, Refusal, RunInput, RunOutput, Subject, SubjectObject } from './subject.ts';

const TYPE = { prog_array: 3, perf_event_array: 4, ringbuf: 27, user_ringbuf: 31, struct_ops: 26 } as const;
/** Types that take no BTF: kernel-side objects, and those without map_check_btf. */
const WITHOUT_BTF = new Set([3, 4, 7, 8, 12, 13, 14, 15, 16, 17, 18, 22, 23, 27, 31, 33]);

const LDDW = 0x18;
const CALL = 0x85;
const PSEUDO_BTF_ID = 3;
const PSEUDO_KFUNC_CALL = 2;

/** A map that the oracle made in the kernel. */
export interface KernelMap {
  readonly spec: MapSpec;
  readonly fd: number;
  /** max_entries that it was created with. */
  readonly maxEntries: number;
}

/** Our loader's output, loaded into the running kernel. `close()` gives every file descriptor back. */
export class KernelObject implements SubjectObject {
  readonly #maps: KernelMap[] = [];
  readonly refused: Record<string, Refusal> = {};
  /** Verifier logs by program, where a log level was asked for. */
  readonly logs: Record<string, string> = {};
  readonly #spec: ObjectSpec;
  readonly #programs = new Map<string, { readonly fd: number; readonly id: number }>();
  readonly #fds: number[] = [];
  readonly #rings = new Map<string, RingReader>();
  readonly #perf = new Map<string, PerfReader>();
  readonly #userRings = new Map<string, UserRingWriter>();

  constructor(spec: ObjectSpec, options: LoadOptions & { readonly logLevel?: number } = {}) {
    pinToCpu(0);
    this.#spec = spec;
    const maps = this.#maps;
    try {
      const btfFd = this.#loadBtf();
      for (const map of spec.maps) maps.push(this.#createMap(map, btfFd));
      for (const map of maps) this.#fillMap(map);
      for (const prog of spec.programs) {
        if (options.programs ? options.programs.includes(prog.name) : prog.autoload) {
          this.#loadProgram(prog, btfFd, options);
        }
      }
      for (const map of maps) this.#fillProgArray(map);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get programs(): readonly string[] {
    return [...this.#programs.keys()];
  }

  get maps(): readonly string[] {
    return this.#maps.map(({ spec }) => spec.name);
  }

  #keep(fd: number, what: string): number {
    if (fd < 0) throw new Error(`kernel: ${what}: ${errnoText(fd)}`);
    this.#fds.push(fd);
    return fd;
  }

  #loadBtf(): number {
    const bytes = this.#spec.btf?.bytes;
    if (!bytes) return 0;
    const { fd, log } = btfLoad(btfForKernel(bytes));
    return this.#keep(fd, `BTF of ${this.#spec.name}: ${log.trim().split('\n').at(-1)}`);
  }

  #createMap(map: MapSpec, btfFd: number): KernelMap {
    const perf = map.typeId === TYPE.perf_event_array;
    const maxEntries = map.maxEntries === 0 && perf ? possibleCpus() : map.maxEntries;
    const what = `map ${map.name} (${map.type})`;
    const innerMapFd = map.innerMap && this.#createMap(map.innerMap, btfFd).fd;
    const attr = {
      type: map.typeId,
      keySize: map.keySize,
      valueSize: map.valueSize,
      maxEntries,
      flags: map.flags,
      name: map.kernelName,
      extra: map.mapExtra,
      numaNode: map.numaNode,
      ...(innerMapFd === undefined ? {} : { innerMapFd }),
    };
    // As libbpf does: with BTF where there is some, and once more without when the kernel does not want it.
    const wantsBtf = btfFd > 0 && map.valueTypeId > 0 && map.origin === 'btf' && !WITHOUT_BTF.has(map.typeId);
    let fd = -1;
    if (wantsBtf) {
      fd = mapCreate({ ...attr, btfFd, btfKeyTypeId: map.keyTypeId, btfValueTypeId: map.valueTypeId });
    }
    if (fd < 0) fd = mapCreate(attr);
    return { spec: map, fd: this.#keep(fd, what), maxEntries };
  }

  #fillMap({ spec, fd, maxEntries }: KernelMap): void {
    if (spec.initial) {
      this.#check(mapUpdate(fd, new Uint8Array(4), spec.initial), `initial contents of ${spec.name}`);
    }
    if (spec.frozen) this.#check(mapFreeze(fd), `freezing ${spec.name}`);
    for (const { slot, map } of spec.values ?? []) {
      if (map === undefined) continue;
      this.#check(mapUpdate(fd, u32(slot), u32(this.#maps[map]!.fd)), `slot ${slot} of ${spec.name}`);
    }
    if (spec.typeId === TYPE.ringbuf) this.#rings.set(spec.name, new RingReader(fd, maxEntries));
    if (spec.typeId === TYPE.user_ringbuf) this.#userRings.set(spec.name, new UserRingWriter(fd, maxEntries));
    if (spec.typeId === TYPE.perf_event_array) this.#perf.set(spec.name, new PerfReader(fd, maxEntries));
  }

  #fillProgArray({ spec, fd }: KernelMap): void {
    if (spec.typeId !== TYPE.prog_array) return;
    for (const { slot, program } of spec.values ?? []) {
      const target = program === undefined ? undefined : this.#programs.get(program);
      if (target) this.#check(mapUpdate(fd, u32(slot), u32(target.fd)), `slot ${slot} of ${spec.name}`);
    }
  }

  #check(result: number, what: string): void {
    if (result < 0) throw new Error(`kernel: ${what}: ${errnoText(result)}`);
  }

  #loadProgram(prog: ProgramSpec, btfFd: number, options: LoadOptions & { readonly logLevel?: number }): void {
    const insns = resolveKernelSymbols(prog, this.#spec);
    const funcInfo = btfFd > 0 && prog.funcs.length > 0 && prog.funcs.every((func) => func.btfTypeId > 0);
    const { fd, log } = progLoad({
      type: prog.typeId,
      insns,
      license: prog.license ?? this.#spec.license,
      name: prog.name,
      expectedAttachType: prog.expectedAttachType,
      flags: prog.flags | (options.progFlags ?? 0),
      fds: this.#maps.map((map) => map.fd),
      ...(btfFd > 0 ? { btfFd } : {}),
      ...(funcInfo ? { funcInfo: { recordSize: 8, bytes: funcInfoRecords(prog) } } : {}),
      ...(options.logLevel ? { logLevel: options.logLevel } : {}),
    });
    if (log) this.logs[prog.name] = log;
    if (fd < 0) {
      this.refused[prog.name] = { errno: fd, log };
      return;
    }
    this.#fds.push(fd);
    this.#programs.set(prog.name, { fd, id: objId(fd) });
  }

  /** File descriptor of a loaded program, to attach it. */
  progFd(name: string): number {
    const prog = this.#programs.get(name);
    if (!prog) throw new Error(`kernel: no program ${name}; loaded: ${this.programs.join(', ') || 'none'}`);
    return prog.fd;
  }

  map(name: string): KernelMap {
    const map = this.#maps.find(({ spec }) => spec.name === name);
    if (!map) throw new Error(`kernel: no map ${name}; there are: ${this.maps.join(', ')}`);
    return map;
  }

  run(program: string, input: RunInput): RunOutput {
    const result = progTestRun(this.progFd(program), input);
    return {
      errno: result.result,
      retval: result.retval,
      data: hex(result.data),
      ctx: input.ctx ? hex(result.ctx) : '',
    };
  }

  lookup(name: string, key: Uint8Array): Uint8Array | number {
    const { fd, spec } = this.map(name);
    return mapLookup(fd, key, userValueSize(spec.typeId, spec.valueSize));
  }

  update(name: string, key: Uint8Array | undefined, value: Uint8Array, flags = 0): number {
    const { fd, spec } = this.map(name);
    if (!isPerCpu(spec.typeId) || value.length !== spec.valueSize) return mapUpdate(fd, key, value, flags);
    const slots = new Uint8Array(userValueSize(spec.typeId, spec.valueSize));
    for (let at = 0; at < slots.length; at += Math.ceil(spec.valueSize / 8) * 8) slots.set(value, at);
    return mapUpdate(fd, key, slots, flags);
  }

  delete(name: string, key: Uint8Array): number {
    return mapDelete(this.map(name).fd, key);
  }

  /** Puts a program into a prog array's slot. */
  setProgram(map: string, slot: number, program: string): number {
    return mapUpdate(this.map(map).fd, u32(slot), u32(this.progFd(program)));
  }

  /** Hands a record to the programs through a user ring buffer. */
  pushUserRecord(map: string, record: Uint8Array): boolean {
    const ring = this.#userRings.get(map);
    if (!ring) throw new Error(`kernel: ${map} is not a user ring buffer`);
    return ring.write(record);
  }

  dump(): Record<string, MapDump> {
    const names = new Map([...this.#programs].map(([name, { id }]) => [id, name]));
    return Object.fromEntries(
      this.#maps.map((map) => {
        const { name, type } = map.spec;
        const ring = this.#rings.get(name);
        if (ring) return [name, { type, entries: ring.read().map((record) => ['', hex(record)] as const) }];
        const perf = this.#perf.get(name);
        if (perf)
          return [
            name,
            {
              type,
              entries: perf
                .read()
                .map(({ cpu, data, lost }) => [String(cpu), lost ? `lost ${lost}` : hex(data)] as const),
            },
          ];
        return [name, dumpMap(map.fd, type, names)];
      }),
    );
  }

  close(): void {
    for (const reader of [...this.#rings.values(), ...this.#perf.values(), ...this.#userRings.values()]) reader.close();
    for (const fd of this.#fds.splice(0).reverse()) closeFd(fd);
    this.#programs.clear();
  }
}

/** The running kernel as a subject; ask `kernelAvailable()` first. */
export const kernelSubject: Subject = {
  name: 'kernel',
  load: (spec, options) => new KernelObject(spec, options),
};

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

/** struct bpf_func_info: first slot and BTF id of each function. */
function funcInfoRecords(prog: ProgramSpec): Uint8Array {
  const bytes = new Uint8Array(prog.funcs.length * 8);
  const view = viewOf(bytes);
  prog.funcs.forEach((func, i) => {
    view.setUint32(i * 8, func.insn, true);
    view.setUint32(i * 8 + 4, func.btfTypeId, true);
  });
  return bytes;
}

/** The instructions with kfuncs by their ids in the running kernel's BTF; map references stay indexes into `fds`. */
function resolveKernelSymbols(prog: ProgramSpec, spec: ObjectSpec): Uint8Array {
  const insns = prog.insns.slice();
  const view = viewOf(insns);
  for (let at = 0; at < insns.length; at += 8) {
    const code = insns[at]!;
    const src = insns[at + 1]! >> 4;
    if (code === CALL && src === PSEUDO_KFUNC_CALL) {
      const kfunc = spec.kfuncs[view.getInt32(at + 4, true)]!;
      const id = vmlinuxFunctions(spec).get(kfunc.name);
      if (id === undefined && !kfunc.weak) throw new Error(`kernel: no kfunc ${kfunc.name} in vmlinux BTF`);
      view.setInt32(at + 4, id ?? 0, true);
    }
    if (code === LDDW) {
      if (src === PSEUDO_BTF_ID)
        throw new Error(`kernel: ${prog.name} refers to a kernel symbol, which the oracle cannot`);
      at += 8;
    }
  }
  return insns;
}

const kfuncIds = new WeakMap<ObjectSpec, Map<string, number>>();
function vmlinuxFunctions(spec: ObjectSpec): Map<string, number> {
  let ids = kfuncIds.get(spec);
  if (!ids) {
    ids = functionIds(
      readFileSync('/sys/kernel/btf/vmlinux') as Uint8Array,
      spec.kfuncs.map(({ name }) => name),
    );
    kfuncIds.set(spec, ids);
  }
  return ids;
}
