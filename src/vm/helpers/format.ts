import { E } from '../../base/errno.ts';
import type { Memory } from '../../base/memory.ts';
import { copyString } from './kernel-memory.ts';
import { isSpace } from './strings.ts';

/** Bytes that all converted arguments of a call share. kernel: MAX_BPRINTF_BIN_ARGS */
const SCRATCH = 512;
/** kernel: FIELD_WIDTH_MAX */
const MAX_WIDTH = (1 << 23) - 1;

/** Arguments as lo/hi pairs. */
export type FormatArgs = Int32Array;

export interface Formatted {
  /** What fits, without a NUL. */
  readonly text: Uint8Array;
  /** Length without a limit. */
  readonly length: number;
}

/** A conversion such as `%-8lu`, or `%pI4`. */
interface Spec {
  readonly flags: string;
  readonly width: number;
  /** `d i u x X c s`, or what follows `%` for pointers: `p px pK ps pS pB pks pus pi4 pI4 pi6 pI6`. */
  readonly conversion: string;
  /** Bytes of an integer: 4 or 8. */
  readonly size: number;
  /** Index behind the conversion. */
  readonly end: number;
}

const CHARS = ['0', '+', '-', ' '];
const POINTERS = ['pK', 'px', 'ps', 'pS', 'pB', 'pi4', 'pI4', 'pi6', 'pI6'];

/** kernel: ispunct() */
function isPunct(byte: number): boolean {
  if (byte >= 0x80) return (byte >= 0xa1 && byte <= 0xbf) || byte === 0xd7 || byte === 0xf7;
  return byte > 0x20 && byte < 0x7f && !isAlnum(byte);
}

function isAlnum(byte: number): boolean {
  if (byte >= 0xc0) return byte !== 0xd7 && byte !== 0xf7;
  return (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a);
}

/** May follow a bare `%p` or `%s`. */
function endsWord(byte: number | undefined): boolean {
  return byte === undefined || isSpace(byte) || isPunct(byte);
}

/** The conversion that starts behind the `%` at `at - 1`, or undefined for one that BPF does not have. */
function parseSpec(format: Uint8Array, at: number): Spec | undefined {
  let i = at;
  const char = (index: number) => String.fromCharCode(format[index] ?? 0);
  while (CHARS.includes(char(i))) i++;
  const flags = String.fromCharCode(...format.subarray(at, i));
  let width = 0;
  for (; char(i) >= '0' && char(i) <= '9'; i++) width = Math.min(MAX_WIDTH, width * 10 + Number(char(i)));

  const spec = (conversion: string, length: number, size: number): Spec => ({
    flags,
    width,
    conversion,
    size,
    end: i + length,
  });
  const kind = char(i);
  if (kind === 'p') {
    if (endsWord(format[i + 1])) return spec('p', 1, 8);
    const string = kind + char(i + 1) + char(i + 2);
    if (string === 'pks' || string === 'pus') return endsWord(format[i + 3]) ? spec(string, 3, 8) : undefined;
    const name = POINTERS.find((pointer) => pointer === (pointer.length === 2 ? string.slice(0, 2) : string));
    return name ? spec(name, name.length, 8) : undefined;
  }
  if (kind === 's') return endsWord(format[i + 1]) ? spec('s', 1, 8) : undefined;
  if (kind === 'c') return spec('c', 1, 1);
  let longs = 0;
  while (longs < 2 && char(i + longs) === 'l') longs++;
  const integer = char(i + longs);
  return 'diuxX'.includes(integer) ? spec(integer, longs + 1, longs ? 8 : 4) : undefined;
}

/** Output of limited size that goes on counting. kernel: bstr_printf() */
class Output {
  readonly bytes: Uint8Array;
  /** Bytes before the one that the NUL gets; -1 when not even that has room. */
  readonly room: number;
  length = 0;

  constructor(room: number) {
    this.room = room;
    this.bytes = new Uint8Array(Math.max(0, room));
  }

  put(byte: number): void {
    if (this.length < this.bytes.length) this.bytes[this.length] = byte;
    this.length++;
  }

  field(text: ArrayLike<number>, width: number, left: boolean): void {
    const padding = Math.max(0, width - text.length);
    if (!left) this.repeat(0x20, padding);
    for (let i = 0; i < text.length; i++) this.put(text[i]!);
    if (left) this.repeat(0x20, padding);
  }

  repeat(byte: number, count: number): void {
    for (let i = 0; i < count; i++) this.put(byte);
  }
}

function ascii(text: string): number[] {
  return [...text].map((char) => char.charCodeAt(0));
}

function wide(lo: number, hi: number): bigint {
  return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
}

/** kernel: number() */
function putInteger(out: Output, spec: Spec, raw: bigint): void {
  const bits = spec.size * 8;
  const signed = spec.conversion === 'd' || spec.conversion === 'i';
  const value = signed ? BigInt.asIntN(bits, raw) : BigInt.asUintN(bits, raw);
  const hex = spec.conversion === 'x' || spec.conversion === 'X';
  let digits = (value < 0n ? -value : value).toString(hex ? 16 : 10);
  if (spec.conversion === 'X') digits = digits.toUpperCase();
  let sign = '';
  if (value < 0n) sign = '-';
  else if (signed && spec.flags.includes('+')) sign = '+';
  else if (signed && spec.flags.includes(' ')) sign = ' ';
  const left = spec.flags.includes('-');
  if (!left && spec.flags.includes('0')) digits = digits.padStart(spec.width - sign.length, '0');
  out.field(ascii(sign + digits), spec.width, left);
}

/** Pointers that `%p` shows are hashed, so that addresses do not leak; errors and NULL are shown. kernel: ptr_to_id() */
function hashed(pointer: bigint): bigint {
  if (pointer === 0n || pointer >= 0xffff_ffff_ffff_f001n) return pointer;
  let hash = Number(BigInt.asUintN(32, pointer ^ (pointer >> 32n))) | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad);
  hash = Math.imul(hash ^ (hash >>> 15), 0x735a2d97);
  return BigInt((hash ^ (hash >>> 15)) >>> 0);
}

function putPointer(out: Output, spec: Spec, pointer: bigint): void {
  const left = spec.flags.includes('-');
  if (spec.conversion === 'ps' || spec.conversion === 'pS') {
    // No address of the lab has a symbol.
    out.field(ascii(`0x${pointer.toString(16)}`), spec.width, left);
    return;
  }
  const value = spec.conversion === 'px' ? pointer : hashed(pointer);
  const hex = value.toString(16);
  const padded = spec.width === 0 || (!left && spec.flags.includes('0'));
  out.field(ascii(padded ? hex.padStart(spec.width || 16, '0') : hex), spec.width, left);
}

/** kernel: ip4_string(), ip6_string() for four or sixteen bytes */
function ipText(conversion: string, bytes: Uint8Array): string {
  const hex = (byte: number) => byte.toString(16).padStart(2, '0');
  const octets = [...bytes];
  if (conversion === 'pI4') return octets.join('.');
  if (conversion === 'pi4') return octets.map((byte) => String(byte).padStart(3, '0')).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => hex(octets[2 * i]!) + hex(octets[2 * i + 1]!));
  return groups.join(conversion === 'pI6' ? ':' : '');
}

/**
 * Arguments of one call as they are gathered: integers of 4 or 8 bytes aligned to 4, characters, strings with their NUL,
 * and addresses as text. Printing takes them from here in order.
 */
class Gathered {
  readonly #memory: Memory;
  readonly #bytes = new Uint8Array(SCRATCH);
  readonly #view = new DataView(this.#bytes.buffer);
  #end = 0;
  #at = 0;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /** Adds one argument; 0 or -ENOSPC. kernel: bpf_bprintf_prepare() */
  add(spec: Spec, lo: number, hi: number): number {
    const left = SCRATCH - this.#end;
    switch (spec.conversion) {
      case 's':
      case 'pks':
      case 'pus': {
        if (left === 0) return -E.ENOSPC;
        // The lab has no user memory; bad addresses give an empty string.
        const user = spec.conversion === 'pus';
        const copied = user ? -E.EFAULT : copyString(this.#memory, this.#bytes, this.#end, left, lo, hi);
        if (copied < 0) this.#bytes[this.#end] = 0;
        this.#end += copied < 0 ? 1 : copied;
        return 0;
      }
      case 'pI4':
      case 'pi4':
      case 'pI6':
      case 'pi6': {
        const size = spec.conversion.endsWith('4') ? 4 : 16;
        if (left < size) return -E.ENOSPC;
        const readable = hi === 0 && this.#memory.accessible(lo >>> 0, size, false);
        this.#addText(ipText(spec.conversion, readable ? this.#memory.read(lo >>> 0, size) : new Uint8Array(size)));
        return 0;
      }
      case 'pB':
        this.#addText(`0x${wide(lo, hi).toString(16)}`);
        return 0;
      case 'c':
        if (left === 0) return -E.ENOSPC;
        this.#bytes[this.#end++] = lo;
        return 0;
      default:
        this.#end = (this.#end + 3) & ~3;
        if (SCRATCH - this.#end < spec.size) return -E.ENOSPC;
        this.#view.setInt32(this.#end, lo, true);
        if (spec.size === 8) this.#view.setInt32(this.#end + 4, hi, true);
        this.#end += spec.size;
        return 0;
    }
  }

  /** Text with its NUL, cut to what is left. */
  #addText(text: string): void {
    const cut = ascii(text).slice(0, Math.max(0, SCRATCH - this.#end - 1));
    this.#bytes.set(cut, this.#end);
    this.#end = Math.min(SCRATCH, this.#end + text.length + 1);
  }

  integer(size: number): bigint {
    const at = Math.min((this.#at + 3) & ~3, SCRATCH - size);
    this.#at = at + size;
    return size === 8 ? this.#view.getBigUint64(at, true) : BigInt(this.#view.getUint32(at, true));
  }

  char(): number {
    return this.#bytes[this.#at++] ?? 0;
  }

  string(): Uint8Array {
    const start = this.#at;
    const nul = this.#bytes.indexOf(0, start);
    const end = nul < 0 ? SCRATCH : nul;
    this.#at = end + 1;
    return this.#bytes.subarray(start, end);
  }
}

/** kernel: bstr_printf() */
function print(out: Output, spec: Spec, args: Gathered): void {
  const left = spec.flags.includes('-');
  switch (spec.conversion) {
    case 's':
      out.field(args.string(), spec.width, left);
      return;
    case 'c':
      out.field([args.char()], spec.width, left);
      return;
    case 'p':
    case 'px':
    case 'pK':
    case 'ps':
    case 'pS':
      putPointer(out, spec, args.integer(8));
      return;
    default:
      if (!spec.conversion.startsWith('p')) putInteger(out, spec, args.integer(spec.size));
      // What was made text beforehand has no width. Once the output is full, Linux leaves it where it is: it does not
      // count, and what comes next is read from it.
      else if (out.length <= out.room) out.field(args.string(), 0, false);
  }
}

/**
 * Formats as bpf_snprintf and bpf_trace_printk do.
 * @param format without its NUL
 * @param room bytes of output that are kept beside the NUL, -1: not even that
 * @returns negative errno: EINVAL for a bad format or too few arguments, ENOSPC when the arguments outgrow 512 bytes.
 * kernel: bpf_bprintf_prepare(), bstr_printf()
 */
export function formatText(memory: Memory, format: Uint8Array, args: FormatArgs, room: number): Formatted | number {
  const gathered = new Gathered(memory);
  const pieces: (number | Spec)[] = [];
  let index = 0;
  for (let i = 0; i < format.length; ) {
    const byte = format[i]!;
    if (byte !== 0x25 || format[i + 1] === 0x25) {
      // Control characters are refused, bytes of UTF-8 are not.
      if ((byte < 0x20 && !isSpace(byte)) || byte === 0x7f) return -E.EINVAL;
      pieces.push(byte);
      i += byte === 0x25 ? 2 : 1;
      continue;
    }
    if (index >= args.length / 2) return -E.EINVAL;
    const spec = parseSpec(format, i + 1);
    if (!spec) return -E.EINVAL;
    const error = gathered.add(spec, args[2 * index]!, args[2 * index + 1]!);
    if (error < 0) return error;
    index++;
    pieces.push(spec);
    i = spec.end;
    // Letters and digits right after a pointer conversion belong to it.
    if (spec.conversion.startsWith('p')) while (i < format.length && isAlnum(format[i]!)) i++;
  }
  const out = new Output(room);
  for (const piece of pieces) {
    if (typeof piece === 'number') out.put(piece);
    else print(out, piece, gathered);
  }
  return { text: out.bytes.subarray(0, Math.min(out.length, out.bytes.length)), length: out.length };
}
