import { PacketError } from '../base/error.ts';
import type { Dissection } from './dissect.ts';
import { type FieldInput, type FieldValue, writeField } from './field.ts';
import { type FieldsOf, HEADERS, type HeaderName, type OptionInput, udpPortFor } from './headers.ts';
import { type CompiledField, type Header, Layer } from './layer.ts';
import { encodeOptions } from './options.ts';

/** One layer to build: its header and the fields that were given. */
export interface LayerSpec {
  readonly header: HeaderName;
  readonly fields: Readonly<Record<string, FieldInput | readonly OptionInput[] | undefined>>;
  /** For padding: index of the layer outside of which it lies. Default: the first layer above Ethernet and tags. */
  readonly outside?: number;
}

/**
 * A packet under construction, outermost header first. Each call gives a new builder, so that a start can be shared.
 *
 * ```ts
 * eth({ dst: '02:00:00:00:00:09' }).vlan({ id: 100 }).ip4({ src: '10.0.0.1', dst: '10.0.0.2' })
 *   .udp({ sport: 4001, dport: 53 }).payload('hello').build();
 * ```
 *
 * Lengths, protocol numbers and checksums that are not given are computed; those that are given are written as they
 * are, so that malformed packets can be made.
 */
export class PacketBuilder {
  readonly layers: readonly LayerSpec[];

  constructor(layers: readonly LayerSpec[] = []) {
    this.layers = layers;
  }

  /** Adds any header by its name. */
  add<N extends HeaderName>(header: N, fields: FieldsOf<N> = {}): PacketBuilder {
    return new PacketBuilder([...this.layers, { header, fields: fields as LayerSpec['fields'] }]);
  }

  eth(fields?: FieldsOf<'eth'>): PacketBuilder {
    return this.add('eth', fields);
  }

  vlan(fields?: FieldsOf<'vlan'>): PacketBuilder {
    return this.add('vlan', fields);
  }

  arp(fields?: FieldsOf<'arp'>): PacketBuilder {
    return this.add('arp', fields);
  }

  ip4(fields?: FieldsOf<'ip4'>): PacketBuilder {
    return this.add('ip4', fields);
  }

  /** An inner IPv4 header: `ip4().ipip()` is IPIP, `ip6().ipip()` is 4in6. */
  ipip(fields?: FieldsOf<'ip4'>): PacketBuilder {
    return this.add('ip4', fields);
  }

  ip6(fields?: FieldsOf<'ip6'>): PacketBuilder {
    return this.add('ip6', fields);
  }

  hopopts(fields?: FieldsOf<'hopopts'>): PacketBuilder {
    return this.add('hopopts', fields);
  }

  routing(fields?: FieldsOf<'routing'>): PacketBuilder {
    return this.add('routing', fields);
  }

  fragment(fields?: FieldsOf<'fragment'>): PacketBuilder {
    return this.add('fragment', fields);
  }

  dstopts(fields?: FieldsOf<'dstopts'>): PacketBuilder {
    return this.add('dstopts', fields);
  }

  icmp(fields?: FieldsOf<'icmp'>): PacketBuilder {
    return this.add('icmp', fields);
  }

  icmp6(fields?: FieldsOf<'icmp6'>): PacketBuilder {
    return this.add('icmp6', fields);
  }

  tcp(fields?: FieldsOf<'tcp'>): PacketBuilder {
    return this.add('tcp', fields);
  }

  udp(fields?: FieldsOf<'udp'>): PacketBuilder {
    return this.add('udp', fields);
  }

  gre(fields?: FieldsOf<'gre'>): PacketBuilder {
    return this.add('gre', fields);
  }

  /** Behind an IP header, puts a UDP header to port 4789 before it. */
  vxlan(fields?: FieldsOf<'vxlan'>): PacketBuilder {
    return this.#overUdp('vxlan').add('vxlan', fields);
  }

  /** Behind an IP header, puts a UDP header to port 6081 before it. */
  geneve(fields?: FieldsOf<'geneve'>): PacketBuilder {
    return this.#overUdp('geneve').add('geneve', fields);
  }

  mpls(fields?: FieldsOf<'mpls'>): PacketBuilder {
    return this.add('mpls', fields);
  }

  /** Text is written as UTF-8; an empty payload is none. */
  payload(data: Uint8Array | string): PacketBuilder {
    return data.length === 0 ? this : this.add('payload', { data });
  }

  /** Bytes behind the end of the IP (or ARP) packet, as on short Ethernet frames; a number asks for that many zeros. */
  padding(data: Uint8Array | number): PacketBuilder {
    return this.add('padding', { data: typeof data === 'number' ? new Uint8Array(data) : data });
  }

  /** Padding up to a frame length (60 is Ethernet's least, without its checksum); nothing if the frame is longer. */
  padTo(length: number): PacketBuilder {
    const missing = length - this.build().length;
    return missing > 0 ? this.padding(missing) : this;
  }

  #overUdp(header: HeaderName): PacketBuilder {
    const last = this.layers.at(-1);
    const dport = udpPortFor(header)!;
    if (last?.header === 'ip4' || last?.header === 'ip6') return this.udp({ dport });
    if (last?.header !== 'udp' || last.fields.dport !== undefined) return this;
    return new PacketBuilder([...this.layers.slice(0, -1), { header: 'udp', fields: { ...last.fields, dport } }]);
  }

  /**
   * The packet's bytes.
   * @throws PacketError for a field that the header does not have, or a value that does not fit.
   */
  build(): Uint8Array {
    return buildLayers(this.layers);
  }
}

/** Starts a packet with an Ethernet header. */
export function eth(fields?: FieldsOf<'eth'>): PacketBuilder {
  return new PacketBuilder().eth(fields);
}

/** Starts a packet without link layer: `packet().ip4().icmp()`. */
export function packet(): PacketBuilder {
  return new PacketBuilder();
}

/**
 * The builder that makes a dissected packet again.
 * @param recompute leave out what can be computed (lengths, protocol numbers, checksums), so that it fits after edits;
 *   by default every bit is kept, whether right or wrong.
 */
export function builderFrom(dissection: Dissection, { recompute = false } = {}): PacketBuilder {
  const specs = dissection.layers.map((layer): LayerSpec => {
    const fields: Record<string, FieldValue> = {};
    for (const place of layer.places()) {
      const { field } = place;
      if (!recompute || (!field.auto && !field.checksum)) fields[field.name] = layer.read(place);
    }
    const header = layer.name as HeaderName;
    return header === 'padding' ? { header, fields, outside: ownerOf(dissection, layer) } : { header, fields };
  });
  return new PacketBuilder(specs);
}

/** The outermost layer that ends where the padding starts. */
function ownerOf(dissection: Dissection, padding: Layer): number {
  return dissection.layers.findIndex((layer) => layer.name !== 'padding' && layer.end <= padding.offset);
}

/** A layer with the fields that its header will have. */
interface Plan {
  readonly spec: LayerSpec;
  readonly fields: readonly { readonly field: CompiledField; readonly bits: number; readonly data?: Uint8Array }[];
  readonly size: number;
}

function buildLayers(specs: readonly LayerSpec[]): Uint8Array {
  const plans = specs.map(planOf);
  const bytes = new Uint8Array(plans.reduce((sum, { size }) => sum + size, 0));
  const stack: Layer[] = [];
  let at = 0;
  for (const [i, { spec, size }] of plans.entries()) {
    const layer = new Layer(HEADERS[spec.header], bytes, at, bytes.length, stack, i);
    layer.length = size;
    stack.push(layer);
    at += size;
  }
  for (const [i, spec] of specs.entries()) {
    if (spec.header !== 'padding') continue;
    const outside = spec.outside ?? specs.findIndex(({ header }) => header !== 'eth' && header !== 'vlan');
    for (const layer of stack.slice(outside, i)) layer.end = Math.min(layer.end, stack[i]!.offset);
  }
  for (const [i, plan] of plans.entries()) writeGiven(stack[i]!, plan);
  for (const [i, spec] of specs.entries()) writeComputed(stack[i]!, spec, 'auto');
  for (let i = specs.length - 1; i >= 0; i--) writeComputed(stack[i]!, specs[i]!, 'checksum');
  return bytes;
}

/** Whether optional fields exist depends on fields in the fixed part; so a trial of that part is written first. */
function planOf(spec: LayerSpec): Plan {
  const header = HEADERS[spec.header];
  const given = givenBytes(spec, header);
  const trial = header.fixed ? undefined : trialOf(header, spec);
  const fields: { field: CompiledField; bits: number; data?: Uint8Array }[] = [];
  let size = 0;
  for (const field of header.compiled) {
    if (field.when && !field.when(trial!)) {
      if (spec.fields[field.name] === undefined) continue;
      throw new PacketError(`${spec.header}.${field.name} does not exist in this kind of header`, {
        hint: 'other fields of the header decide whether it is there',
      });
    }
    const data = given?.get(field.name);
    const bits = field.size ? (data?.length ?? 0) * 8 : field.bits;
    fields.push({ field, bits, data });
    size += bits;
  }
  return { spec, fields, size: size / 8 };
}

/** Given `bytes` fields, encoded; undefined when there are none. */
function givenBytes(spec: LayerSpec, header: Header): Map<string, Uint8Array> | undefined {
  let result: Map<string, Uint8Array> | undefined;
  for (const name in spec.fields) {
    const value = spec.fields[name];
    const field = header.byName.get(name);
    if (!field) {
      const names = [...header.byName.keys()].join(' ');
      throw new PacketError(`${spec.header} has no field "${name}"`, { hint: `it has ${names}` });
    }
    if (field.kind !== 'bytes' || value === undefined) continue;
    result ??= new Map();
    result.set(name, toBytes(spec.header, field, value));
  }
  return result;
}

function toBytes(header: string, field: CompiledField, value: FieldInput | readonly OptionInput[]): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === 'string') return new TextEncoder().encode(value);
  if (typeof value === 'object' && field.options) return encodeOptions(field.options, value);
  throw new PacketError(`${header}.${field.name}: bytes wanted, not ${String(value)}`);
}

const ZERO = { mac: '00:00:00:00:00:00', ip4: '0.0.0.0', ip6: '::', bytes: 0, uint: 0, hex: 0, flags: 0 } as const;

function defaultOf(field: CompiledField, spec: LayerSpec): FieldInput {
  const given = spec.fields[field.name];
  if (given !== undefined) return given as FieldInput;
  if (field.setBy) return spec.fields[field.setBy] === undefined ? 0 : 1;
  return field.default ?? ZERO[field.kind];
}

function trialOf(header: Header, spec: LayerSpec): Layer {
  const bytes = new Uint8Array(header.size);
  for (const field of header.compiled) {
    if (field.bitOffset >= 0) writeUnlessZero(bytes, field.bitOffset, field, spec);
  }
  return new Layer(header, bytes, 0, bytes.length, [], 0);
}

function writeUnlessZero(bytes: Uint8Array, bitOffset: number, field: CompiledField, spec: LayerSpec): void {
  const value = defaultOf(field, spec);
  if (value !== 0) writeField(bytes, bitOffset, field, value, spec.header);
}

function writeGiven(layer: Layer, { spec, fields }: Plan): void {
  let bit = layer.offset * 8;
  for (const { field, bits, data } of fields) {
    if (data) layer.bytes.set(data, bit >>> 3);
    else if (field.kind !== 'bytes') writeUnlessZero(layer.bytes, bit, field, spec);
    bit += bits;
  }
}

function writeComputed(layer: Layer, spec: LayerSpec, what: 'auto' | 'checksum'): void {
  for (const field of layer.header.compiled) {
    const compute = field[what];
    if (!compute || spec.fields[field.name] !== undefined) continue;
    if (field.when && !field.when(layer)) continue;
    const value = compute(layer);
    // Optional fields with a computed value (GRE's checksum) are the first optional ones of their header.
    const bitOffset = field.bitOffset >= 0 ? field.bitOffset : layer.header.size * 8;
    if (value < 0 || value >= 2 ** field.bits) {
      throw new PacketError(`${spec.header}.${field.name}: computed value ${value} does not fit ${field.bits} bits`, {
        hint: 'make the packet smaller, or give the field',
      });
    }
    writeField(layer.bytes, layer.offset * 8 + bitOffset, field, value, spec.header);
  }
}
