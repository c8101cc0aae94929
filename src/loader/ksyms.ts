import { type Btf, essentialName } from './btf.ts';
import { typesCompatible } from './core-match.ts';
import { ObjectError } from './object-error.ts';
import type { LoaderExtern, OpenedObject } from './opened.ts';
import type { KfuncSpec } from './spec.ts';

/** What the kernel has for `__ksym` externs. Without these, symbols stay symbolic and nothing is refused. */
export interface KsymOptions {
  /** BTF of the kernel: kfuncs and typed variables are looked up and compared with it. */
  readonly kernelBtf?: Btf;
  /** Names of the kfuncs that there are; by default those of `kernelBtf`. */
  readonly hasKfunc?: (name: string) => boolean;
  /** Addresses of kernel symbols; undefined for an unknown name. */
  readonly kallsyms?: (name: string) => bigint | undefined;
}

/** How one extern is to be written into instructions. */
export interface ResolvedSymbol {
  /** Index in ObjectSpec.externs. */
  readonly index: number;
  /** Index in ObjectSpec.kfuncs; absent for one that is missing. */
  readonly kfunc?: number;
  /** A plain number instead of a symbol: untyped ones, and 0 for weak ones that are missing. */
  readonly address?: bigint;
}

export interface KsymResolution {
  readonly kfuncs: KfuncSpec[];
  symbol(extern: LoaderExtern): ResolvedSymbol;
}

const fail = (code: 'EINVAL' | 'ESRCH', text: string) => new ObjectError(code, text, { stage: 'load' });

/** Looks up all `__ksym` externs. libbpf: bpf_object__resolve_ksyms_btf_id(), bpf_object__resolve_externs() */
export function checkKsyms(object: OpenedObject, options: KsymOptions): KsymResolution {
  const kfuncs: KfuncSpec[] = [];
  const symbols = new Map<LoaderExtern, ResolvedSymbol>();
  const unresolved: LoaderExtern[] = [];
  for (const [index, extern] of object.externs.entries()) {
    if (extern.kind === 'kconfig') continue;
    if (extern.kind === 'kfunc') {
      if (kfuncExists(object, extern, options)) {
        symbols.set(extern, { index, kfunc: kfuncs.length });
        kfuncs.push({ name: essentialName(extern.name), weak: extern.weak, btfTypeId: extern.btfTypeId });
      } else symbols.set(extern, { index, address: 0n });
    } else if (extern.ksymTypeId === 0) {
      const address = options.kallsyms?.(extern.name);
      if (address === undefined && !extern.weak) unresolved.push(extern);
      symbols.set(extern, { index, address: address ?? 0n });
    } else if (variableExists(object, extern, options)) symbols.set(extern, { index });
    else symbols.set(extern, { index, address: 0n });
  }
  const first = unresolved[0];
  if (first) throw fail('ESRCH', `extern '${first.name}' (strong): not resolved`);
  return { kfuncs, symbol: (extern) => symbols.get(extern)! };
}

function kfuncExists(object: OpenedObject, extern: LoaderExtern, { kernelBtf, hasKfunc }: KsymOptions): boolean {
  const name = essentialName(extern.name);
  const target = kernelBtf?.find(name, 'func');
  const known = hasKfunc ? hasKfunc(name) : kernelBtf ? target !== undefined : true;
  if (!known) {
    if (extern.weak) return false;
    throw fail('EINVAL', `extern (func ksym) '${extern.name}': not found in kernel or module BTFs`);
  }
  if (!kernelBtf || !target || typesCompatible(object.btf!, extern.ksymTypeId, kernelBtf, target.type)) return true;
  if (extern.weak) return false;
  throw fail(
    'EINVAL',
    `extern (func ksym) '${extern.name}': func_proto [${extern.ksymTypeId}] incompatible with vmlinux [${target.type}]`,
  );
}

function variableExists(object: OpenedObject, extern: LoaderExtern, { kernelBtf }: KsymOptions): boolean {
  if (!kernelBtf) return !extern.weak;
  const target = kernelBtf.find(extern.name, 'var');
  if (!target) {
    if (extern.weak) return false;
    throw fail('EINVAL', `extern (var ksym) '${extern.name}': not found in kernel BTF`);
  }
  if (typesCompatible(object.btf!, extern.ksymTypeId, kernelBtf, kernelBtf.strip(target.type).id)) return true;
  throw fail(
    'EINVAL',
    `extern (var ksym) '${extern.name}': incompatible types, expected [${extern.ksymTypeId}], but kernel has [${target.type}]`,
  );
}
