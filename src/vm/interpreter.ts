import type { ErrnoName } from '../base/errno.ts';
import { FaultError, InternalError, LoadError } from '../base/error.ts';
import type { BpfMap, ProgRef } from '../maps/map.ts';
import type { Cpu } from './cpu.ts';
import type { Engine } from './engine.ts';
import { bindHelper } from './helper-call.ts';
import { type Loop, type LoopParts, type LoopState, makeLoop } from './interpreter-loop.ts';
import { MAX_CALL_FRAMES } from './isa/validate.ts';
import type { Machine } from './machine.ts';
import {
  FRAME_MAY_GOTO,
  FRAME_RETURN,
  FRAME_TOP,
  FRAME_WORDS,
  predecode,
  predecodedSize,
  REG_WORDS,
  WORDS,
} from './predecode.ts';
import type { LinkedInsn, Program } from './program.ts';
import type { HelperRow } from './prototypes/helper.ts';

/** Words of code that all programs of one machine share: 2 M instructions; untouched pages cost nothing. */
const CODE_WORDS = 1 << 24;
/** kernel: MAX_BPF_STACK, MAX_TAIL_CALL_CNT, BPF_MAX_LOOPS */
export const STACK_SIZE = 512;
const MAX_TAIL_CALLS = 33;
// differs from kernel: 6.18 on x86-64 leaves a may_goto loop after 250 ms of wall time; here after as many iterations as
// older kernels allow, so that runs repeat exactly.
const MAX_MAY_GOTO = 8_388_608;
/** Frames in all: a tail call from a subprogram opens eight more, and a helper may run another program meanwhile. */
const MAX_DEPTH = 2 * (MAX_TAIL_CALLS + 1) * MAX_CALL_FRAMES;
/** Function pointers are 0xc0000000 + instruction index: above every memory address, so that they cannot be loaded from. */
const CODE_POINTER = 0xc0000000 | 0;
const DEFAULT_BUDGET = 1_000_000_000;
const MAX_WORDS_PER_LIMIT = 1 << 30;
/** Word index of the first program; whole instructions, since function pointers count in them. */
const CODE_START = (MAX_DEPTH + 1) * FRAME_WORDS;

/** What a tail call needs of its map. */
interface ProgArray extends BpfMap {
  progAt?(index: number): ProgRef | undefined;
}

/** Called before each instruction of a program prepared for tracing. */
export type TraceHook = (program: Program, insn: LinkedInsn, registers: Int32Array) => void;

interface Prepared {
  readonly program: Program;
  readonly base: number;
  readonly end: number;
  /** Words from one instruction to the next: twice as many with trace ops between them. */
  readonly step: number;
}

let loops = 0;

/** The first machine uses the function as it stands; later ones need a copy of their own, see makeLoop. */
function instantiateLoop(parts: LoopParts): Loop {
  if (loops++ === 0) return makeLoop(parts);
  try {
    const copy = new Function(`return ${makeLoop.toString()}\n// copy ${loops}`)() as typeof makeLoop;
    return copy(parts);
  } catch {
    // No code from strings here (a browser's content security policy): half the speed, same answers.
    return makeLoop(parts);
  }
}

/**
 * The reference engine: checks every access against the memory's regions, counts every instruction, and can stop at each.
 * One per machine.
 */
export class Interpreter implements Engine {
  readonly name = 'interp';
  readonly machine: Machine;
  /** r0..r10 as lo/hi pairs, for hooks and debuggers. */
  readonly registers = new Int32Array(REG_WORDS);
  /** Instructions that the last top-level run executed. */
  executed = 0;
  /** Instructions that one top-level run may execute before it is stopped. */
  budget = DEFAULT_BUDGET;

  #words = new Int32Array(CODE_WORDS);
  #next = CODE_START;
  #prepared = new Map<Program, Prepared>();
  #ranges: Prepared[] = [];
  #traceHook: TraceHook | undefined;
  #helpers: (() => void)[] = [];
  #helperIndex = new Map<HelperRow, number>();
  #state: LoopState = { depth: -1, frameLimit: 0, words: 0, pc: 0 };
  #loop: Loop;
  #cpu: Cpu;
  #ctx = 0;
  #tailCalls = 0;
  #last: Prepared | undefined;

  constructor(machine: Machine) {
    this.machine = machine;
    this.#cpu = machine.cpuList[0]!;
    for (const cpu of machine.cpuList) {
      cpu.callback = (fn, args, max) =>
        this.#state.depth < 0 ? this.#runCallback(cpu, fn, args, max) : this.#callback(fn, args, max);
    }
    const { memory } = machine;
    this.#loop = instantiateLoop({
      r: this.registers,
      m: this.#words,
      u8: memory.u8,
      view: memory.view,
      pages: memory.pageRow,
      table: memory.regionTable,
      state: this.#state,
      helpers: this.#helpers,
      fault: (pc, base, size, write) => this.#accessFault(pc, base, size, write),
      divide: (dst, src, modulo, signed) => this.#divide(dst, src, modulo, signed),
      atomic32: (op, address, src) => this.#atomic32(op, address, src),
      atomic64: (op, address, src) => this.#atomic64(op, address, src),
      flush: (pc) => this.#limit(pc),
      grow: (pc, depth) => this.#grow(pc, depth),
      leave: () => this.#leave(),
      tailCall: (pc) => this.#tailCall(pc),
      mayGoto: () => this.#mayGoto(),
      loadPacket: (pc, indirect) => this.#loadPacket(pc, indirect),
      trace: (pc) => this.#trace(pc),
    });
  }

  /** From now on programs are prepared with a hook before each instruction (undefined: without); prepared ones anew. */
  set traceHook(hook: TraceHook | undefined) {
    if ((hook === undefined) !== (this.#traceHook === undefined)) {
      this.#prepared.clear();
      this.#last = undefined;
      this.#ranges = [];
      this.#next = CODE_START;
    }
    this.#traceHook = hook;
  }

  /** Makes the program's code ready; `run` does it when it has not been done. */
  prepare(program: Program): void {
    this.#code(program);
  }

  /** Forgets the code of all programs, so that a long campaign does not fill the code area. */
  reset(): void {
    this.#prepared.clear();
    this.#last = undefined;
    this.#ranges = [];
    this.#next = CODE_START;
  }

  /**
   * Runs the program with r1 = `ctx` and returns r0's low 32 bits, unsigned. `registers` keeps all of r0.
   * @throws FaultError for an access outside of what the program may touch, or when the budget runs out.
   */
  run(program: Program, cpu: Cpu, ctx: number): number {
    const state = this.#state;
    const m = this.#words;
    const r = this.registers;
    const outerCpu = this.#cpu;
    const outerProgram = cpu.program;
    const outerCtx = this.#ctx;
    const outerTailCalls = this.#tailCalls;
    const outerLimit = state.frameLimit;
    const outerDepth = state.depth;
    const { base } = this.#last?.program === program ? this.#last : this.#code(program);
    if (outerDepth < 0) state.words = 0;
    this.#cpu = cpu;
    this.#ctx = ctx;
    this.#tailCalls = 0;
    state.frameLimit = outerDepth + 1 + MAX_CALL_FRAMES;
    cpu.program = program;
    try {
      if (outerDepth < 0) {
        // No caller whose registers have to be kept.
        if (m[FRAME_TOP] === 0) this.#grow(base, 0);
        m[FRAME_MAY_GOTO] = 0;
        r[20] = m[FRAME_TOP]!;
        r[21] = 0;
        state.depth = 0;
      } else this.#enter(0, base);
      r[2] = ctx;
      r[3] = 0;
      this.#loop(base, this.#limit(base));
      if (outerDepth >= 0) this.#leave();
      if (cpu.lock !== 0 && outerDepth < 0) {
        throw new FaultError('BPF_EXIT instruction in main prog cannot be used inside bpf_spin_lock-ed region', {
          errno: 'EINVAL',
          program: program.name,
        });
      }
    } catch (error) {
      // What a helper's body found does not know yet where it was called.
      if (error instanceof FaultError && error.facts.program === undefined) {
        this.#fault(state.pc, error.message, undefined, error.facts.errno);
      }
      throw error;
    } finally {
      if (outerDepth < 0) cpu.lock = 0;
      state.depth = outerDepth;
      state.frameLimit = outerLimit;
      this.#cpu = outerCpu;
      this.#ctx = outerCtx;
      this.#tailCalls = outerTailCalls;
      cpu.program = outerProgram;
      if (outerDepth < 0) this.executed = state.words / WORDS;
    }
    return r[0]! >>> 0;
  }

  #code(program: Program): Prepared {
    const known = this.#prepared.get(program);
    if (known) {
      this.#last = known;
      return known;
    }
    const options = { trace: this.#traceHook !== undefined };
    const size = predecodedSize(program, options);
    if (this.#next + size > CODE_WORDS) {
      throw new LoadError(`no room for ${program.insns.length} more instructions in the interpreter's code area`, {
        program: program.name,
        errno: 'ENOMEM',
        hint: 'use a new lab, or reset() the engine',
      });
    }
    const base = this.#next;
    this.#next += size;
    const prepared = { program, base, end: base + size, step: options.trace ? 2 * WORDS : WORDS };
    this.#prepared.set(program, prepared);
    this.#ranges.push(prepared);
    predecode(
      program,
      this.#words,
      base,
      options,
      (insn) => this.#bind(insn),
      (word) => CODE_POINTER + word / WORDS,
    );
    return prepared;
  }

  #bind(insn: LinkedInsn): number {
    const row = insn.helper!;
    let index = this.#helperIndex.get(row);
    if (index === undefined) {
      index = this.#helpers.length;
      this.#helperIndex.set(row, index);
      this.#helpers.push(
        bindHelper(row, this.machine, this.registers, {
          cpu: () => this.#cpu,
          fault: (message, errno) => this.#fault(this.#state.pc, message, undefined, errno),
        }),
      );
    }
    return index;
  }

  /** Program and instruction at a word index. */
  #at(pc: number): { program: Program; insn: LinkedInsn } {
    let low = 0;
    let high = this.#ranges.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#ranges[middle]!.base <= pc) low = middle;
      else high = middle - 1;
    }
    const prepared = this.#ranges[low];
    if (!prepared || pc < prepared.base || pc >= prepared.end) throw new InternalError(`no program at word ${pc}`);
    return {
      program: prepared.program,
      insn: prepared.program.insns[Math.floor((pc - prepared.base) / prepared.step)]!,
    };
  }

  #fault(pc: number, message: string, hint?: string, errno: ErrnoName = 'EFAULT'): never {
    const { program, insn } = this.#at(pc);
    const line = program.lineAt(insn.slot);
    throw new FaultError(message, {
      errno,
      program: program.name,
      insn: insn.slot,
      ...(line && { source: `${line.file}:${line.line}` }),
      ...(hint && { hint }),
    });
  }

  #accessFault(pc: number, base: number, size: number, write: boolean): never {
    const m = this.#words;
    const r = this.registers;
    if (size === 0) throw new InternalError(`bad op ${m[pc]} at word ${pc}`);
    const value = (BigInt(r[base + 1]! >>> 0) << 32n) | BigInt(r[base]! >>> 0);
    const address = BigInt.asUintN(64, value + BigInt(m[pc + 1]!));
    const what = `${write ? 'write' : 'read'} of ${size} byte${size === 1 ? '' : 's'} at 0x${address.toString(16)}`;
    const memory = this.machine.memory;
    if (address > 0xffffffffn) this.#fault(pc, `${what} (r${base / 2}${signed(m[pc + 1]!)}): not an address`);
    const at = Number(address);
    const readOnly = write && memory.accessible(at, size, false);
    this.#fault(
      pc,
      `${what} (r${base / 2}${signed(m[pc + 1]!)}): ${memory.describe(at)}${readOnly ? ' is read-only' : ''}`,
    );
  }

  #limit(pc: number): number {
    const left = this.budget * WORDS - this.#state.words;
    if (left <= 0) this.#fault(pc, `instruction budget of ${this.budget} used up`, 'an endless loop?');
    return Math.min(left, MAX_WORDS_PER_LIMIT);
  }

  /** Opens a frame: saves r6..r9 and where to go on, and sets r10. The loop's `call` does the same in line. */
  #enter(returnTo: number, pc: number): void {
    const depth = this.#state.depth + 1;
    const m = this.#words;
    const r = this.registers;
    const at = depth * FRAME_WORDS;
    if (depth >= this.#state.frameLimit || m[at + FRAME_TOP] === 0) this.#grow(pc, depth);
    for (let i = 0; i < 8; i++) m[at + i] = r[12 + i]!;
    m[at + FRAME_RETURN] = returnTo;
    m[at + FRAME_MAY_GOTO] = 0;
    this.#state.depth = depth;
    r[20] = m[at + FRAME_TOP]!;
    r[21] = 0;
  }

  #leave(): number {
    const depth = this.#state.depth;
    const m = this.#words;
    const r = this.registers;
    const at = depth * FRAME_WORDS;
    for (let i = 0; i < 8; i++) r[12 + i] = m[at + i]!;
    this.#state.depth = depth - 1;
    if (depth > 0) r[20] = m[at - FRAME_WORDS + FRAME_TOP]!;
    return m[at + FRAME_RETURN]!;
  }

  /** Each frame has a page of its own, so that overruns fault. */
  #grow(pc: number, depth: number): void {
    if (depth >= this.#state.frameLimit) {
      this.#fault(pc, 'the call stack of 9 frames is too deep', 'Linux allows 8 frames');
    }
    if (depth >= MAX_DEPTH) this.#fault(pc, 'programs run inside programs too deep');
    const { memory } = this.machine;
    const region = memory.allocate(STACK_SIZE, { kind: 'stack', name: `stack frame ${depth}` });
    // In the middle of its page, so that a message about an overrun can say whose it is.
    const top = region.start + region.size / 2;
    memory.setBounds(region, top - STACK_SIZE, top);
    // Linux leaves old bytes on the stack; a pattern makes a program that reads them easy to recognise.
    memory.u8.fill(0xa5, top - STACK_SIZE, top);
    this.#words[depth * FRAME_WORDS + FRAME_TOP] = top;
  }

  /** A callback that no running program asked for: a timer's. */
  #runCallback(cpu: Cpu, fn: number, args: readonly [lo: number, hi: number][], max?: number): number {
    const state = this.#state;
    this.#cpu = cpu;
    this.#tailCalls = 0;
    state.words = 0;
    state.frameLimit = MAX_CALL_FRAMES;
    state.pc = ((fn | 0) - CODE_POINTER) * WORDS;
    try {
      return this.#callback(fn, args, max);
    } finally {
      state.depth = -1;
      cpu.lock = 0;
      this.executed = state.words / WORDS;
    }
  }

  #callback(fn: number, args: readonly [lo: number, hi: number][], max = 1): number {
    const r = this.registers;
    const word = ((fn | 0) - CODE_POINTER) * WORDS;
    const pc = this.#state.pc;
    if (word < CODE_START || word >= this.#next) this.#fault(pc, `0x${(fn >>> 0).toString(16)} is not a function`);
    this.#enter(0, pc);
    for (const [index, [lo, hi]] of args.entries()) {
      r[2 + 2 * index] = lo;
      r[3 + 2 * index] = hi;
    }
    this.#loop(word, this.#limit(pc));
    this.#leave();
    this.#state.pc = pc;
    if (r[1] !== 0 || r[0]! >>> 0 > max) {
      // kernel: check_return_code() finds this at load
      const value = (BigInt(r[1]! >>> 0) << 32n) | BigInt(r[0]! >>> 0);
      const text = `At callback return the register R0 has value ${value} should have been in [0, ${max}]`;
      this.#fault(pc, text, undefined, 'EINVAL');
    }
    return r[0]!;
  }

  #tailCall(pc: number): number {
    const r = this.registers;
    const map = this.machine.maps.get(r[4]!) as ProgArray | undefined;
    if (!map?.progAt) this.#fault(pc, 'bpf_tail_call: r2 is not a prog_array');
    if (this.#tailCalls >= MAX_TAIL_CALLS) return 0;
    const index = r[6]! >>> 0;
    const program = map.progAt(index) as Program | undefined;
    if (!program) return 0;
    this.#tailCalls++;
    // The callee takes over the frame and may open seven more. kernel: the verifier counts frames per program
    this.#state.frameLimit = Math.max(this.#state.frameLimit, this.#state.depth + MAX_CALL_FRAMES);
    const base = this.#code(program).base;
    this.#cpu.program = program;
    r[2] = this.#ctx;
    r[3] = 0;
    return base;
  }

  #mayGoto(): boolean {
    const at = this.#state.depth * FRAME_WORDS + FRAME_MAY_GOTO;
    const count = this.#words[at]!;
    this.#words[at] = count + 1;
    return count >= MAX_MAY_GOTO;
  }

  #loadPacket(pc: number, indirect: boolean): boolean {
    const m = this.#words;
    const r = this.registers;
    const packet = this.#cpu.packet;
    if (!packet?.loadAbs) this.#fault(pc, 'BPF_LD_[ABS|IND] instructions not allowed for this program type');
    const offset = indirect ? (m[pc + 2]! + r[(m[pc]! >>> 16) & 30]!) | 0 : m[pc + 2]!;
    const value = packet.loadAbs(offset, m[pc + 1]!);
    if (value < 0) return false;
    r[0] = value;
    r[1] = 0;
    return true;
  }

  #trace(pc: number): void {
    const { program, insn } = this.#at(pc);
    this.#traceHook?.(program, insn, this.registers);
  }

  #divide(dst: number, src: number, modulo: boolean, signed: boolean): void {
    const r = this.registers;
    const a = (BigInt(r[dst + 1]! >>> 0) << 32n) | BigInt(r[dst]! >>> 0);
    const b = (BigInt(r[src + 1]! >>> 0) << 32n) | BigInt(r[src]! >>> 0);
    let result: bigint;
    if (b === 0n) result = modulo ? a : 0n;
    else if (!signed) result = modulo ? a % b : a / b;
    else {
      const x = BigInt.asIntN(64, a);
      const y = BigInt.asIntN(64, b);
      result = modulo ? x % y : x / y;
    }
    r[dst] = Number(BigInt.asIntN(32, result));
    r[dst + 1] = Number(BigInt.asIntN(32, result >> 32n));
  }

  /** Packets take no atomics: they may lie at any alignment. kernel: atomic_ptr_type_ok() */
  #refuseAtomic(address: number): void {
    if (this.machine.memory.regionAt(address)?.kind === 'packet') {
      this.#fault(this.#state.pc, 'BPF_ATOMIC stores into packet memory are not allowed', undefined, 'EACCES');
    }
  }

  #atomic32(op: number, address: number, src: number): void {
    this.#refuseAtomic(address);
    const r = this.registers;
    const view = this.machine.memory.view;
    const old = view.getInt32(address, true);
    if (op === 0xf1) {
      if (r[0] === old) view.setInt32(address, r[src]!, true);
      r[0] = old;
      r[1] = 0;
      return;
    }
    view.setInt32(address, combine(op & 0xf0, old, r[src]!), true);
    if (op & 1) {
      r[src] = old;
      r[src + 1] = 0;
    }
  }

  #atomic64(op: number, address: number, src: number): void {
    this.#refuseAtomic(address);
    const r = this.registers;
    const view = this.machine.memory.view;
    const lo = view.getInt32(address, true);
    const hi = view.getInt32(address + 4, true);
    if (op === 0xf1) {
      if (r[0] === lo && r[1] === hi) {
        view.setInt32(address, r[src]!, true);
        view.setInt32(address + 4, r[src + 1]!, true);
      }
      r[0] = lo;
      r[1] = hi;
      return;
    }
    const low = combine(op & 0xf0, lo, r[src]!);
    let high = combine(op & 0xf0, hi, r[src + 1]!);
    if ((op & 0xf0) === 0 && low >>> 0 < lo >>> 0) high = (high + 1) | 0;
    view.setInt32(address, low, true);
    view.setInt32(address + 4, high, true);
    if (op & 1) {
      r[src] = lo;
      r[src + 1] = hi;
    }
  }
}

/** One 32-bit half of an atomic's operation. */
function combine(op: number, old: number, operand: number): number {
  switch (op) {
    case 0x00:
      return (old + operand) | 0;
    case 0x40:
      return old | operand;
    case 0x50:
      return old & operand;
    case 0xa0:
      return old ^ operand;
    default:
      return operand; // xchg
  }
}

function signed(offset: number): string {
  return offset < 0 ? ` - ${-offset}` : ` + ${offset}`;
}
