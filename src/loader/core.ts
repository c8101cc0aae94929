import { type Btf, essentialName } from './btf.ts';
import type { CoreRecord } from './btf-ext.ts';
import { CORE_KINDS, type CoreKind, isEnumKind, isFieldKind, isTypeKind } from './core-kinds.ts';
import { isEnum, typesCompatible, typesMatch } from './core-match.ts';
import { applyCore, type CoreValue } from './core-patch.ts';
import { type CoreSpec, describeSpec, fieldValue, matchSpec, parseSpec, specText } from './core-spec.ts';
import { ObjectError } from './object-error.ts';
import type { LoaderFunc, OpenedObject } from './opened.ts';
import { FuncIndex } from './relocate.ts';

/** What CO-RE relocations are made against. */
export interface CoreOptions {
  /** BTF of the kernel that the programs should run on; by default the object's own types, as they are. */
  readonly targetBtf?: Btf;
  /**
   * Without `targetBtf`: answers of existence probes (`field_exists`, `type_exists`, `enumval_exists`) by the name of
   * the type, or of `type::ENUMERATOR`; undefined leaves it at "exists".
   */
  readonly coreExists?: (name: string) => boolean | undefined;
}

/** Where a relocation stands, for messages. */
interface Place {
  readonly func: LoaderFunc;
  readonly index: number;
  /** Slot inside the function. */
  readonly slot: number;
}

/**
 * Applies the CO-RE relocations of all functions that may run, in place. Returns how many records there were.
 * libbpf: bpf_object__relocate_core()
 */
export function relocateCore(object: OpenedObject, options: CoreOptions, warnings: string[]): number {
  const { btf, btfExt } = object;
  if (!btf || !btfExt || btfExt.core.length === 0) return 0;
  const functions = new FuncIndex(object.funcs);
  const relocator = new Relocator(btf, options, warnings);
  let records = 0;
  for (const block of btfExt.core) {
    const section = object.elf.sections.find((candidate) => candidate.name === block.section);
    if (!section) continue;
    for (const [index, record] of btfExt.coreRecords(block, btf).entries()) {
      records++;
      if (record.insnOffset % 8 !== 0) {
        throw failed(`sec '${block.section}': CO-RE relocation #${index} at odd offset ${record.insnOffset}`);
      }
      const slot = record.insnOffset / 8;
      const func = functions.at(section.index, slot);
      if (!func || (func.entry && !func.autoload)) continue;
      relocator.relocate(record, { func, index, slot: slot - func.start });
    }
  }
  return records;
}

function failed(text: string, code: 'EINVAL' | 'E2BIG' | 'EOPNOTSUPP' = 'EINVAL'): ObjectError {
  return new ObjectError(code, text, { stage: 'load', log: 'failed to perform CO-RE relocations' });
}

/** kernel: TYPE_SIZE and others; poison means "the program must not get here". */
class Relocator {
  readonly #local: Btf;
  readonly #options: CoreOptions;
  readonly #warnings: string[];
  /** Candidates by local type id; shrinks to those that matched. libbpf: bpf_core_cand_list */
  readonly #candidates = new Map<number, number[]>();
  #essential: Map<string, number[]> | undefined;

  constructor(local: Btf, options: CoreOptions, warnings: string[]) {
    this.#local = local;
    this.#options = options;
    this.#warnings = warnings;
  }

  relocate(record: CoreRecord, place: Place): void {
    const kind = CORE_KINDS[record.kind];
    const prefix = `prog '${place.func.name}': relo #${place.index}`;
    if (!kind) throw failed(`${prefix}: unknown CO-RE relocation kind ${record.kind}`);
    const spec = this.#parse(record, kind, prefix);
    const value = this.#options.targetBtf
      ? this.#search(spec, kind, this.#options.targetBtf, prefix)
      : this.#identity(spec, kind, prefix);
    if (!value) return;
    applyCore(place.func, place.slot, value, prefix, this.#warnings);
  }

  #parse(record: CoreRecord, kind: CoreKind, prefix: string): CoreSpec {
    try {
      return parseSpec(this.#local, record.typeId, record.access, kind);
    } catch (error) {
      if (!(error instanceof ObjectError)) throw error;
      const type = record.typeId < this.#local.count ? describeSpec(this.#local, record.typeId) : `[${record.typeId}]`;
      throw failed(
        `${prefix}: parsing ${type} + ${record.access} failed: ${error.errno}: ${error.message}`,
        error.code === 'E2BIG' || error.code === 'EOPNOTSUPP' ? error.code : 'EINVAL',
      );
    }
  }

  /** Own types: the object runs where its types are true. Existence probes can be answered from outside. */
  #identity(spec: CoreSpec, kind: CoreKind, prefix: string): CoreValue | undefined {
    const base = {
      spec: specText(this.#local, spec, kind),
      poison: false,
      localSize: 0,
      targetSize: 0,
      failSize: false,
    };
    const root = this.#local.strip(spec.root);
    switch (kind) {
      case 'field_exists':
      case 'type_exists':
      case 'type_matches':
      case 'enumval_exists': {
        const name = essentialName(this.#local.name(spec.root) || root.name);
        const full = kind === 'enumval_exists' ? `${name}::${spec.enumerator!.name}` : name;
        const exists = this.#options.coreExists?.(full) ?? true;
        return { ...base, local: 1n, value: exists ? 1n : 0n, validate: true };
      }
      case 'local_type_id':
      case 'target_type_id':
        return { ...base, local: BigInt(spec.root), value: BigInt(spec.root), validate: false };
      default:
        // Only whether the record makes sense: the instruction holds the local value already.
        if (isFieldKind(kind)) fieldValue(this.#local, spec, kind, prefix);
        return undefined;
    }
  }

  #search(spec: CoreSpec, kind: CoreKind, target: Btf, prefix: string): CoreValue {
    const text = specText(this.#local, spec, kind);
    const base = { spec: text, localSize: 0, targetSize: 0, failSize: false, validate: true, poison: false };
    if (kind === 'local_type_id') {
      return { ...base, local: BigInt(spec.root), value: BigInt(spec.root), validate: false };
    }
    if (this.#local.name(spec.root) === '') {
      throw failed(`${prefix}: <${text}> relocation doesn't support anonymous types`, 'EOPNOTSUPP');
    }
    const candidates = this.#candidatesOf(spec.root, target);
    const local = this.#value(this.#local, spec, spec, kind, prefix);
    let chosen: CoreValue | undefined;
    let bitOffset = 0;
    const matched: number[] = [];
    for (const id of candidates) {
      const found = this.#match(spec, kind, target, id);
      if (!found) continue;
      matched.push(id);
      const value = { ...base, ...this.#result(spec, found, kind, target, local, prefix) };
      if (!chosen) {
        chosen = value;
        bitOffset = found.bitOffset;
      } else if (found.bitOffset !== bitOffset) {
        throw failed(`${prefix}: field offset ambiguity: ${found.bitOffset} != ${bitOffset}`);
      } else if (value.poison !== chosen.poison || value.value !== chosen.value) {
        const show = (one: CoreValue) => `${one.poison ? 'failure' : 'success'} ${one.value}`;
        throw failed(`${prefix}: relocation decision ambiguity: ${show(value)} != ${show(chosen)}`);
      }
    }
    if (matched.length > 0) this.#candidates.set(spec.root, matched);
    if (chosen) return chosen;
    // Nothing found: existence and sizes are 0, everything else must not run.
    const zero = ['field_exists', 'type_exists', 'type_size', 'type_matches', 'target_type_id', 'enumval_exists'];
    const poison = !zero.includes(kind);
    return { ...base, local: local.value, value: 0n, poison, validate: kind !== 'target_type_id' && local.validate };
  }

  #result(spec: CoreSpec, found: CoreSpec, kind: CoreKind, target: Btf, local: Valued, prefix: string) {
    const value = this.#value(target, found, found, kind, prefix);
    const resized = kind === 'byte_off' && local.size !== value.size && local.size > 0 && value.size > 0;
    const canResize = resized && this.#resizable(spec, found, target);
    return {
      local: local.value,
      value: value.value,
      validate: local.validate && kind !== 'target_type_id',
      localSize: canResize ? local.size : 0,
      targetSize: canResize ? value.size : 0,
      failSize: resized && !canResize,
    };
  }

  /** Loads of another size are right for pointers, and for unsigned integers. */
  #resizable(spec: CoreSpec, found: CoreSpec, target: Btf): boolean {
    const a = this.#local.strip(spec.accessors[spec.accessors.length - 1]!.type);
    const b = target.strip(found.accessors[found.accessors.length - 1]!.type);
    if (a.kind === 'ptr' && b.kind === 'ptr') return true;
    return a.kind === 'int' && b.kind === 'int' && !a.signed && !b.signed;
  }

  #value(btf: Btf, spec: CoreSpec, _found: CoreSpec, kind: CoreKind, prefix: string): Valued {
    if (isFieldKind(kind)) return fieldValue(btf, spec, kind, prefix);
    switch (kind) {
      case 'local_type_id':
      case 'target_type_id':
        return { value: BigInt(spec.root), validate: kind !== 'target_type_id', size: 0 };
      case 'type_exists':
      case 'type_matches':
      case 'enumval_exists':
        return { value: 1n, validate: true, size: 0 };
      case 'type_size': {
        const size = btf.size(spec.root);
        if (size === undefined) throw failed(`${prefix}: type [${spec.root}] has no size`);
        return { value: BigInt(size), validate: true, size: 0 };
      }
      default:
        return { value: spec.enumerator!.value, validate: true, size: 0 };
    }
  }

  #match(spec: CoreSpec, kind: CoreKind, target: Btf, id: number): CoreSpec | undefined {
    if (isTypeKind(kind)) {
      const agree = kind === 'type_matches' ? typesMatch : typesCompatible;
      return agree(this.#local, spec.root, target, id)
        ? { root: id, bitOffset: 0, accessors: [], path: [] }
        : undefined;
    }
    if (isEnumKind(kind)) {
      const type = target.strip(id);
      if (type.kind !== 'enum' && type.kind !== 'enum64') return undefined;
      const wanted = essentialName(spec.enumerator!.name);
      const index = type.values.findIndex((row) => essentialName(row.name) === wanted);
      const row = type.values[index];
      if (!row) return undefined;
      const value = type.kind === 'enum' ? BigInt.asIntN(32, row.value) : row.value;
      return { root: id, bitOffset: 0, accessors: [], path: [index], enumerator: { name: row.name, value } };
    }
    return matchSpec(this.#local, spec, target, id);
  }

  /** Types of the target with the same kind and essential name, ascending. libbpf: bpf_core_find_cands() */
  #candidatesOf(root: number, target: Btf): readonly number[] {
    const known = this.#candidates.get(root);
    if (known) return known;
    if (!this.#essential) {
      this.#essential = new Map();
      for (const [name, ids] of target.names()) {
        const essential = essentialName(name);
        const all = this.#essential.get(essential);
        if (all) all.push(...ids);
        else this.#essential.set(essential, [...ids]);
      }
    }
    const kind = this.#local.kind(root);
    const named = this.#essential.get(essentialName(this.#local.name(root))) ?? [];
    const found = named
      .filter((id) => target.kind(id) === kind || (isEnum(target.kind(id)) && isEnum(kind)))
      .sort((a, b) => a - b);
    this.#candidates.set(root, found);
    return found;
  }
}

interface Valued {
  readonly value: bigint;
  readonly validate: boolean;
  /** Bytes that a load takes, 0 where that does not matter. */
  readonly size: number;
}
