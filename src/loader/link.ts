import type { BtfExt, ExtBlock } from './btf-ext.ts';
import { ObjectError } from './object-error.ts';
import type { InsnRelocation, LoaderFunc, OpenedObject } from './opened.ts';
import { FuncIndex } from './relocate.ts';

const CALL = 0x85;
const LDDW = 0x18;
const PSEUDO_CALL = 1;
const PSEUDO_FUNC = 4;
/** kernel: BPF_COMPLEXITY_LIMIT_INSNS, in slots. */
const MAX_PROGRAM = 1_000_000;
/** Each program has its own copy of its subprograms, so that a small file could ask for any amount of memory. */
const MAX_TOTAL = 8_000_000;

/** A function at its place in a final program. */
export interface Placed {
  readonly func: LoaderFunc;
  readonly at: number;
}

/** A main function with its subprograms behind it. */
export interface LinkedProgram {
  readonly insns: Uint8Array;
  readonly view: DataView;
  readonly placed: readonly Placed[];
}

/**
 * Appends the subprograms that a program uses, each once, depth first in order of first use.
 * libbpf: bpf_object__reloc_code(), bpf_object__append_subprog_code()
 */
export class Linker {
  readonly #object: OpenedObject;
  readonly #index: FuncIndex;
  #total = 0;

  constructor(object: OpenedObject) {
    this.#object = object;
    this.#index = new FuncIndex(object.funcs);
  }

  link(main: LoaderFunc): LinkedProgram {
    const placed: Placed[] = [];
    const at = new Map<LoaderFunc, number>();
    let slots = 0;
    const place = (func: LoaderFunc) => {
      if (slots + func.count > MAX_PROGRAM || this.#total + slots + func.count > MAX_TOTAL) {
        throw new ObjectError('E2BIG', `prog '${main.name}': too many instructions with its subprograms`, {
          stage: 'load',
          hint: `a program may have ${MAX_PROGRAM}, all of an object together ${MAX_TOTAL}`,
        });
      }
      const entry = { func, at: slots };
      placed.push(entry);
      at.set(func, slots);
      slots += func.count;
    };
    const patches: number[] = [];
    place(main);
    this.#walk(main, at, place, patches);
    const callback = this.#exceptionCallback(main);
    if (callback && !at.has(callback)) {
      place(callback);
      this.#walk(callback, at, place, patches);
    }

    this.#total += slots;
    const insns = new Uint8Array(slots * 8);
    const view = new DataView(insns.buffer);
    for (const { func, at: start } of placed) {
      insns.set(func.insns, start * 8);
      for (const relocation of func.relocations) {
        if (relocation.target.kind === 'func') markFunc(view, start + relocation.slot);
      }
    }
    for (let i = 0; i < patches.length; i += 2) view.setInt32(patches[i]! * 8 + 4, patches[i + 1]!, true);
    return { insns, view, placed };
  }

  /** Iterative depth-first walk: recursion depth would follow the input. */
  #walk(start: LoaderFunc, at: Map<LoaderFunc, number>, place: (func: LoaderFunc) => void, patches: number[]): void {
    const stack = [{ func: start, slot: 0, relocation: 0 }];
    while (stack.length > 0) {
      const frame = stack[stack.length - 1]!;
      const { func } = frame;
      if (frame.slot >= func.count) {
        stack.pop();
        continue;
      }
      const slot = frame.slot++;
      while ((func.relocations[frame.relocation]?.slot ?? slot) < slot) frame.relocation++;
      const found = func.relocations[frame.relocation];
      const relocation = found?.slot === slot ? found : undefined;
      const target = this.#target(func, slot, relocation);
      if (!target) continue;
      const position = at.get(func)! + slot;
      const known = at.get(target);
      if (known === undefined) {
        place(target);
        stack.push({ func: target, slot: 0, relocation: 0 });
      }
      patches.push(position, at.get(target)! - position - 1);
    }
  }

  #target(func: LoaderFunc, slot: number, relocation: InsnRelocation | undefined): LoaderFunc | undefined {
    const at = slot * 8;
    const opcode = func.insns[at]!;
    if (opcode !== CALL && opcode !== LDDW) return undefined;
    const { dialect, text } = this.#object;
    const registers = func.insns[at + 1]!;
    const isFunc = opcode === LDDW && (relocation?.target.kind === 'func' || registers >> 4 === PSEUDO_FUNC);
    const isCall = opcode === CALL && registers === PSEUDO_CALL << 4 && func.view.getInt16(at + 2, true) === 0;
    if (!isFunc && !isCall) return undefined;
    const fail = (text: string) =>
      new ObjectError('RELOC', `prog '${func.name}': ${text}`, {
        stage: 'load',
        section: func.section.name,
        offset: (func.start + slot) * 8,
      });
    const imm = func.view.getInt32(at + 4, true);
    let section = dialect === 'libbpf' || dialect === 'libbpf-0.8' ? text : func.section.index;
    let wanted: number;
    if (relocation) {
      const { target } = relocation;
      if (target.kind === 'extern-call') return undefined;
      if (target.kind !== 'call' && target.kind !== 'func') {
        throw fail(`unexpected relo for insn #${slot}, type ${target.kind}`);
      }
      section = target.section;
      wanted = isFunc ? (target.value + imm) / 8 : target.value / 8 + imm + 1;
    } else if (isFunc) throw fail(`missing subprog addr relo for insn #${slot}`);
    else wanted = func.start + slot + imm + 1;
    const target = this.#index.at(section, wanted);
    if (!target) throw fail(`no .text section found yet sub-program call exists (insn #${slot}, target ${wanted})`);
    return target;
  }

  /** `__attribute__((btf_decl_tag("exception_callback:NAME")))` on the main function. */
  #exceptionCallback(main: LoaderFunc): LoaderFunc | undefined {
    const { btf, funcs, text } = this.#object;
    if (!btf) return undefined;
    for (const id of btf.idsByName(main.name)) {
      if (btf.kind(id) !== 'func') continue;
      const tag = btf.declTags(id).find((one) => one.component === -1 && one.name.startsWith(EXCEPTION_TAG));
      const name = tag?.name.slice(EXCEPTION_TAG.length);
      if (name) return funcs.find((func) => func.section.index === text && func.name === name);
    }
    return undefined;
  }
}

const EXCEPTION_TAG = 'exception_callback:';

function markFunc(view: DataView, slot: number): void {
  view.setUint8(slot * 8 + 1, (view.getUint8(slot * 8 + 1) & 0x0f) | (PSEUDO_FUNC << 4));
  view.setInt32(slot * 8 + 12, 0, true);
}

/** Func or line records of a final program: the records of each placed function, with new slots. */
export interface MovedRecords {
  readonly slots: readonly number[];
  /** Block and index of the record behind each slot. */
  readonly records: readonly { readonly block: ExtBlock; readonly index: number }[];
}

/**
 * Moves `.BTF.ext` records into the final program. When the main function has none, nothing is moved; when only a
 * subprogram has none, libbpf refuses the program.
 * libbpf: adjust_prog_btf_ext_info()
 */
export function moveRecords(
  ext: BtfExt,
  blocks: readonly ExtBlock[],
  placed: readonly Placed[],
  what: 'func' | 'line',
  warnings: string[],
): MovedRecords {
  const slots: number[] = [];
  const records: { block: ExtBlock; index: number }[] = [];
  if (blocks.length === 0) return { slots, records };
  for (const [i, { func, at }] of placed.entries()) {
    const block = ext.range(blocks, func.section.name, func.start, func.start + func.count);
    if (!block) {
      if (i === 0) {
        warnings.push(
          `prog '${func.name}': missing .BTF.ext ${what} info for the main program, skipping all of .BTF.ext ${what} info.`,
        );
        return { slots, records };
      }
      throw new ObjectError('ENOENT', `prog '${func.name}': missing .BTF.ext ${what} info.`, { stage: 'load' });
    }
    for (let index = 0; index < block.count; index++) {
      slots.push(Math.floor(ext.word(block, index, 0) / 8) - func.start + at);
      records.push({ block, index });
    }
  }
  return { slots, records };
}
