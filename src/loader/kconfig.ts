import { ObjectError } from './object-error.ts';
import type { LoaderExtern } from './opened.ts';

/** Linux that the lab plays when the user names none. */
export const DEFAULT_KERNEL_VERSION = '6.18.0';

/** Where values of kconfig variables come from. */
export interface KconfigSources {
  /** Lines `CONFIG_X=y`, as in /boot/config-*; the first definition counts. */
  readonly text?: string;
  /** Further values for what `text` leaves open. */
  readonly system?: string;
  /** `6.18.44`; patch level at most 255. */
  readonly kernelVersion: string;
}

const fail = (code: 'EINVAL' | 'ESRCH' | 'ERANGE', text: string, hint?: string) =>
  new ObjectError(code, text, { stage: 'load', section: '.kconfig', hint });

/** KERNEL_VERSION(a, b, c). @throws ObjectError for text that is not a version. */
export function kernelVersionCode(version: string): number {
  const parts = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(version);
  if (!parts) throw fail('EINVAL', `kernel version '${version}' is not like 6.18.44`);
  return ((Number(parts[1]) << 16) | (Number(parts[2]) << 8) | Math.min(255, Number(parts[3] ?? 0))) >>> 0;
}

/**
 * Contents of the `.kconfig` map. Warnings (cut strings) are pushed to `warnings`.
 * libbpf: bpf_object__resolve_externs(), bpf_object__read_kconfig_mem()
 */
export function resolveKconfig(
  externs: readonly LoaderExtern[],
  size: number,
  sources: KconfigSources,
  warnings: string[],
): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  const unset = new Map<string, LoaderExtern>();
  for (const extern of externs) {
    if (extern.kind !== 'kconfig') continue;
    if (extern.name.startsWith('CONFIG_')) unset.set(extern.name, extern);
    else setVirtual(extern, view, sources.kernelVersion);
  }
  for (const text of [sources.text, sources.system]) {
    if (text) readConfig(text, unset, view, warnings);
  }
  for (const extern of unset.values()) {
    if (extern.weak) continue;
    throw fail(
      'ESRCH',
      `extern '${extern.name}' (strong): not resolved`,
      `give its value: --kconfig ${extern.name}=...`,
    );
  }
  return bytes;
}

function setVirtual(extern: LoaderExtern, view: DataView, version: string): void {
  const value = virtualValue(extern, kernelVersionCode(version));
  if (value !== undefined) setNumber(extern, view, value, true);
}

function virtualValue({ name, weak }: LoaderExtern, version: number): bigint | undefined {
  switch (name) {
    case 'LINUX_KERNEL_VERSION':
      return BigInt(version);
    case 'LINUX_HAS_BPF_COOKIE':
      // kernel: bpf_get_attach_cookie() is there since 5.15.
      return version >= kernelVersionCode('5.15') ? 1n : 0n;
    case 'LINUX_HAS_SYSCALL_WRAPPER':
      // differs from kernel: libbpf looks for a kprobe; the lab has no tracing, and a system without it answers 0.
      return 0n;
    default:
      if (name.startsWith('LINUX_') && weak) return undefined;
      throw fail('EINVAL', `extern (kcfg) '${name}': unrecognized virtual extern`);
  }
}

function readConfig(text: string, unset: Map<string, LoaderExtern>, view: DataView, warnings: string[]): void {
  for (const raw of text.split('\n')) {
    const line = raw.trimEnd();
    if (!line.startsWith('CONFIG_')) continue;
    const separator = line.indexOf('=');
    if (separator < 0) throw fail('EINVAL', `failed to parse '${line}': no separator`);
    const name = line.slice(0, separator);
    const value = line.slice(separator + 1);
    const extern = unset.get(name);
    if (!extern) continue;
    if (value === '') throw fail('EINVAL', `failed to parse '${line}': no value`);
    unset.delete(name);
    if (value[0] === 'y' || value[0] === 'n' || value[0] === 'm') setTristate(extern, view, value[0]);
    else if (value[0] === '"') setString(extern, view, value, warnings);
    else setNumber(extern, view, parseInteger(extern, value), false);
  }
}

function setTristate(extern: LoaderExtern, view: DataView, value: 'y' | 'n' | 'm'): void {
  const refused = (implied: string) =>
    fail('EINVAL', `extern (kcfg) '${extern.name}': value '${value}' implies ${implied} type`);
  switch (extern.kconfig) {
    case 'bool':
      if (value === 'm') throw refused('tristate or char');
      view.setUint8(extern.offset, value === 'y' ? 1 : 0);
      return;
    case 'tristate':
      if (extern.size === 8) view.setBigUint64(extern.offset, { n: 0n, y: 1n, m: 2n }[value], true);
      else view.setUint32(extern.offset, { n: 0, y: 1, m: 2 }[value], true);
      return;
    case 'char':
      view.setUint8(extern.offset, value.charCodeAt(0));
      return;
    default:
      throw refused('bool, tristate, or char');
  }
}

function setString(extern: LoaderExtern, view: DataView, value: string, warnings: string[]): void {
  const what = `extern (kcfg) '${extern.name}'`;
  if (extern.kconfig !== 'string') throw fail('EINVAL', `${what}: value '${value}' implies char array type`);
  if (value.length < 2 || !value.endsWith('"')) throw fail('EINVAL', `${what}: invalid string config '${value}'`);
  const content = new TextEncoder().encode(value.slice(1, -1));
  const room = extern.size - 1;
  if (content.length > room) {
    warnings.push(`${what}: long string '${value}' of (${content.length} bytes) truncated to ${room} bytes`);
  }
  const kept = content.subarray(0, room);
  new Uint8Array(view.buffer, view.byteOffset + extern.offset, kept.length).set(kept);
}

/** C strtoull(value, &end, 0) on the whole text; negative numbers wrap. */
function parseInteger(extern: LoaderExtern, value: string): bigint {
  const match = /^([+-]?)(0[xX][0-9a-fA-F]+|\d+)$/.exec(value);
  const digits = match?.[2] ?? '';
  const octal = /^0[0-7]+$/.test(digits);
  if (!match || (digits.length > 1 && digits[0] === '0' && !octal && !/^0x/i.test(digits))) {
    throw fail('EINVAL', `extern (kcfg) '${extern.name}': value '${value}' isn't a valid integer`);
  }
  const magnitude = BigInt(octal ? `0o${digits.slice(1)}` : digits);
  if (magnitude >> 64n !== 0n) {
    throw fail('ERANGE', `extern (kcfg) '${extern.name}': value '${value}' isn't a valid integer`);
  }
  return BigInt.asUintN(64, match[1] === '-' ? -magnitude : magnitude);
}

function setNumber(extern: LoaderExtern, view: DataView, value: bigint, virtual: boolean): void {
  const what = `extern (kcfg) '${extern.name}'`;
  const { kconfig } = extern;
  const boolean = kconfig === 'bool' && virtual && value <= 1n;
  if (kconfig !== 'char' && kconfig !== 'int' && !boolean) {
    throw fail('EINVAL', `${what}: value '${value}' implies integer type`);
  }
  const bits = extern.size * 8;
  const fits =
    bits === 64 ||
    (extern.signed ? BigInt.asUintN(64, BigInt.asIntN(bits, value)) === value : value >> BigInt(bits) === 0n);
  if (!fits) throw fail('ERANGE', `${what}: value '${value}' doesn't fit in ${extern.size} bytes`);
  for (let i = 0; i < extern.size; i++) view.setUint8(extern.offset + i, Number((value >> BigInt(8 * i)) & 0xffn));
}
