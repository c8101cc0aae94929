import { type FieldKind, type FieldValue, KIND_BITS, readBits, readField } from './field.ts';

/** One field of a header. Rows stand in wire order; offsets follow from the widths. */
export interface FieldRow {
  readonly name: string;
  readonly kind: FieldKind;
  /** Width; left out for addresses (their kind has one) and for `bytes`. */
  readonly bits?: number;
  readonly default?: number | string;
  /** Names of the bits of a `flags` field, lowest bit first. */
  readonly flags?: readonly string[];
  /** What diffs call it, when the name alone would not be understood. */
  readonly label?: string;
  /** Is the field there? It may ask about the header's unconditional fields. */
  readonly when?: (layer: Layer) => boolean;
  /** Length of a `bytes` field in bytes, at most what remains. */
  readonly size?: (layer: Layer, remaining: number) => number;
  /** How the bytes of a `bytes` field are laid out, and the multiple of bytes to which the builder pads them. */
  readonly options?: 'tcp' | 'ip4' | 'ip6' | 'ndp' | 'geneve';
  /** The builder's default is 1 when this other field is given. */
  readonly setBy?: string;
  /** What the field holds in an intact packet, where the rest of the packet determines it. */
  readonly auto?: (layer: Layer) => number;
  /** As `auto`, and covers other bytes: computed last, inner headers first. The layer's own field counts as zero. */
  readonly checksum?: (layer: Layer) => number;
}

/** A header as data: builder, dissector, checksum check and diff are derived from its rows. */
export interface HeaderRow<F extends readonly FieldRow[] = readonly FieldRow[]> {
  readonly name: string;
  /** What one-line summaries call it. */
  readonly title: string;
  readonly fields: F;
  /** What is wrong with it, so that nothing behind it can be trusted. */
  readonly check?: (layer: Layer) => string | undefined;
  /** The header behind this one, if it is one that we know. */
  readonly next?: (layer: Layer) => string | undefined;
  /** Bytes from the start of this header to the end of what it carries, where the header says so. */
  readonly extent?: (layer: Layer) => number | undefined;
  /** It quotes the start of another packet: what follows may be cut, and its lengths may say more than is there. */
  readonly quotes?: (layer: Layer) => boolean;
}

/** A field with its width, and its place when that does not depend on the packet. */
export interface CompiledField extends FieldRow {
  readonly bits: number;
  /** Bits from the start of the header; -1 when an optional or variable field stands before it. */
  readonly bitOffset: number;
}

/** A header row, compiled. */
export interface Header extends HeaderRow {
  readonly compiled: readonly CompiledField[];
  readonly byName: ReadonlyMap<string, CompiledField>;
  /** Bytes of the part that is always there. */
  readonly size: number;
  /** Is that part all there is? */
  readonly fixed: boolean;
}

/** Computes offsets and the fixed size of a header. */
export function compileHeader(row: HeaderRow): Header {
  let bit = 0;
  let fixed = true;
  const compiled = row.fields.map((field): CompiledField => {
    const bits = field.bits ?? KIND_BITS[field.kind as keyof typeof KIND_BITS] ?? 0;
    if (field.when || field.size) fixed = false;
    const compiledField = { ...field, bits, bitOffset: fixed ? bit : -1 };
    if (fixed) bit += bits;
    return compiledField;
  });
  return { ...row, compiled, byName: new Map(compiled.map((field) => [field.name, field])), size: bit / 8, fixed };
}

/** Where a field of one packet lies. */
export interface FieldPlace {
  readonly field: CompiledField;
  /** Bits from the start of the header. */
  readonly bitOffset: number;
  readonly bits: number;
}

/** A header at its place in a packet. Fields are read when asked for. */
export class Layer {
  readonly header: Header;
  /** The whole packet. */
  readonly bytes: Uint8Array;
  /** Where the header starts, in bytes from the start of the packet. */
  readonly offset: number;
  /** Bytes of the header itself. */
  length: number;
  /** Where what it carries ends; bytes behind belong to layers further out (Ethernet padding). */
  end: number;
  /** All layers of the packet, this one at `index`. */
  readonly stack: readonly Layer[];
  readonly index: number;
  #places: readonly FieldPlace[] | undefined;

  constructor(header: Header, bytes: Uint8Array, offset: number, end: number, stack: readonly Layer[], index: number) {
    this.header = header;
    this.bytes = bytes;
    this.offset = offset;
    this.length = header.size;
    this.end = end;
    this.stack = stack;
    this.index = index;
  }

  /** The header's name: `ip4`. */
  get name(): string {
    return this.header.name;
  }

  /** The layer behind, padding left out. */
  get next(): Layer | undefined {
    const next = this.stack[this.index + 1];
    return next?.name === 'padding' ? undefined : next;
  }

  /** The IPv4 or IPv6 header that carries this layer. */
  get ip(): Layer | undefined {
    for (let i = this.index - 1; i >= 0; i--) {
      const layer = this.stack[i]!;
      if (layer.name === 'ip4' || layer.name === 'ip6') return layer;
    }
    return undefined;
  }

  /** A number field that is always there. */
  num(name: string): number {
    const field = this.header.byName.get(name)!;
    return readBits(this.bytes, this.offset * 8 + field.bitOffset, field.bits);
  }

  /** A field's value; undefined when this packet's header does not have it. */
  value(name: string): FieldValue | undefined {
    const place = this.places().find((candidate) => candidate.field.name === name);
    return place && this.read(place);
  }

  /** All fields by name, in wire order. */
  fields(): Record<string, FieldValue> {
    return Object.fromEntries(this.places().map((place) => [place.field.name, this.read(place)]));
  }

  read(place: FieldPlace): FieldValue {
    const bit = this.offset * 8 + place.bitOffset;
    if (place.field.kind === 'bytes') return this.bytes.subarray(bit >>> 3, (bit + place.bits) >>> 3);
    return readField(this.bytes, bit, place.bits, place.field.kind);
  }

  /** The fields that this packet's header has, with their places. */
  places(): readonly FieldPlace[] {
    this.#places ??= this.layout(this.offset + this.length);
    return this.#places;
  }

  /**
   * Lays the fields out up to `limit` and sets nothing. Variable fields are cut at the limit; an optional field of
   * fixed width that does not fit ends the list, which `measure` reports.
   */
  layout(limit: number): FieldPlace[] {
    const places: FieldPlace[] = [];
    let bit = 0;
    for (const field of this.header.compiled) {
      if (field.when && !field.when(this)) continue;
      const remaining = limit - this.offset - bit / 8;
      const bits = field.size ? 8 * Math.max(0, Math.min(field.size(this, remaining), remaining)) : field.bits;
      if (bits > remaining * 8) return places;
      places.push({ field, bitOffset: bit, bits });
      bit += bits;
    }
    return places;
  }

  /**
   * Header length when the packet ends at `limit`; `cut` counts missing bytes of a variable field, and undefined means
   * that a field of fixed width is missing.
   */
  measure(limit: number): { readonly length: number; readonly cut: number } | undefined {
    if (limit - this.offset < this.header.size) return undefined;
    if (this.header.fixed) return { length: this.header.size, cut: 0 };
    let length = 0;
    let cut = 0;
    for (const field of this.header.compiled) {
      if (field.when && !field.when(this)) continue;
      const remaining = limit - this.offset - Math.ceil(length);
      if (field.size) {
        const wanted = Math.max(0, field.size(this, remaining));
        cut += Math.max(0, wanted - remaining);
        length += Math.min(wanted, remaining);
      } else {
        length += field.bits / 8;
        if (length > limit - this.offset) return undefined;
      }
    }
    return { length, cut };
  }
}
