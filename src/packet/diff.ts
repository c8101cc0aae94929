import { formatHex } from '../base/address.ts';
import { type Dissection, dissect, verifyChecksums } from './dissect.ts';
import { type FieldValue, formatValue } from './field.ts';
import type { CompiledField, Layer } from './layer.ts';
import { formatOptions } from './options.ts';

/** One difference between two forms of a packet. Values are numbers or text; bytes are hex. */
export type PacketChange =
  /** `derived`: a length, protocol number or checksum that merely follows from other changes, and is right. */
  | {
      readonly kind: 'field';
      readonly layer: string;
      readonly field: string;
      readonly before: number | string;
      readonly after: number | string;
      readonly derived: boolean;
      readonly text: string;
    }
  /** A header came or went; `offset` counts in the packet that has it. */
  | {
      readonly kind: 'added' | 'removed';
      readonly layer: string;
      readonly offset: number;
      readonly length: number;
      readonly text: string;
    }
  /** Bytes that no header table reads; `offset` counts in the packet before. */
  | {
      readonly kind: 'bytes';
      readonly layer: string;
      readonly offset: number;
      readonly before: string;
      readonly after: string;
      readonly text: string;
    }
  /** It was right before, and is not after: somebody forgot to update it. */
  | {
      readonly kind: 'stale';
      readonly layer: string;
      readonly field: string;
      readonly found: number;
      readonly expected: number;
      readonly text: string;
    };

/** What happened to a packet, field by field; empty when nothing did. */
export function diffPackets(
  before: Uint8Array,
  after: Uint8Array,
  options: { linkType?: number } = {},
): PacketChange[] {
  if (sameBytes(before, after)) return [];
  const [a, b] = [dissect(before, options), dissect(after, options)];
  const pairs = align(a.layers, b.layers);
  const changes: PacketChange[] = [];
  let [i, j] = [0, 0];
  for (const [left, right] of [...pairs, [a.layers.length, b.layers.length] as const]) {
    const [x, y] = [a.layers[left], b.layers[right]];
    // Headers that are no longer read as such turn into payload: then the payloads are no partners.
    const reread =
      x?.name === 'payload' && sizeOf(a.layers.slice(i, left + 1)) === sizeOf(b.layers.slice(j, right + 1));
    const own = reread ? 1 : 0;
    diffGap(a.layers.slice(i, left + own), b.layers.slice(j, right + own), changes);
    if (x && y && !reread) diffLayer(x, y, changes);
    [i, j] = [left + 1, right + 1];
  }
  findStaleChecksums(a, b, pairs, changes);
  const moved = movedEnd(before, after, changes);
  return moved ? [moved] : changes;
}

const isHeader = (change: PacketChange) => change.kind !== 'stale' && !['payload', 'padding'].includes(change.layer);

/**
 * A packet that only lost or gained bytes at one end, and not whole headers: what is left may read as quite another
 * packet, so that comparing fields would tell a wrong story.
 */
function movedEnd(before: Uint8Array, after: Uint8Array, changes: readonly PacketChange[]): PacketChange | undefined {
  const [short, long] = before.length < after.length ? [before, after] : [after, before];
  const size = long.length - short.length;
  const cut = short === after;
  const change = (front: boolean, text: string): PacketChange => {
    const bytes = formatHex(front ? long.subarray(0, size) : long.subarray(short.length));
    const offset = front ? 0 : short.length;
    return { kind: 'bytes', layer: 'packet', offset, before: cut ? bytes : '', after: cut ? '' : bytes, text };
  };
  if (size === 0) return undefined;
  if (
    sameBytes(long.subarray(0, short.length), short) &&
    changes.some((one) => isHeader(one) && one.kind !== 'bytes')
  ) {
    return change(false, cut ? `last ${size} of ${long.length} bytes cut` : `${size} bytes added at the end`);
  }
  const whole = cut ? 'removed' : 'added';
  if (sameBytes(long.subarray(size), short) && changes.some((one) => one.kind !== whole && one.kind !== 'stale')) {
    return change(true, cut ? `first ${size} of ${long.length} bytes cut` : `${size} bytes added in front`);
  }
  return undefined;
}

/** The changes as one line; what merely follows from others is left out. */
export function formatDiff(changes: readonly PacketChange[]): string {
  const told = changes.filter((change) => change.kind !== 'field' || !change.derived);
  return (told.length ? told : changes).map((change) => change.text).join(', ');
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/**
 * Pairs of layers that are the same header before and after: the assignment in order (longest common subsequence) whose
 * pairs have most field values in common, so that of two IPv4 headers the new one is found.
 */
function align(a: readonly Layer[], b: readonly Layer[]): (readonly [number, number])[] {
  if (a.length === b.length && a.every((layer, i) => layer.name === b[i]!.name)) return a.map((_, i) => [i, i]);
  const best: number[][] = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const paired = best[i + 1]![j + 1]! + likeness(a[i]!, b[j]!);
      best[i]![j] = Math.max(paired, best[i + 1]![j]!, best[i]![j + 1]!);
    }
  }
  const pairs: [number, number][] = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    const score = likeness(a[i]!, b[j]!);
    if (score > 0 && best[i]![j] === best[i + 1]![j + 1]! + score) pairs.push([i++, j++]);
    else if (best[i]![j] === best[i + 1]![j]) i++;
    else j++;
  }
  return pairs;
}

/** 0 for different headers; else 1 and the share of equal fields, those not counted that follow from the rest. */
function likeness(a: Layer, b: Layer): number {
  if (a.name !== b.name) return 0;
  const own = a.places().filter((place) => !place.field.auto && !place.field.checksum);
  const other = b.fields();
  const equal = own.filter((place) => String(a.read(place)) === String(other[place.field.name])).length;
  return 1 + (own.length ? equal / own.length : 1);
}

const isPlain = (layer: Layer) => layer.name === 'payload' || layer.name === 'padding';

/** `outer`, `inner` where a packet has the header more than once. */
function nameOf(layer: Layer): string {
  const same = layer.stack.filter((other) => other.name === layer.name);
  if (same.length < 2) return layer.name;
  if (same[0] === layer) return `outer ${layer.name}`;
  return same.at(-1) === layer ? `inner ${layer.name}` : `${layer.name} #${same.indexOf(layer) + 1}`;
}

function labelOf(layer: Layer, field: CompiledField): string {
  const name = nameOf(layer);
  if (!field.label) return `${name} ${field.name}`;
  return name === layer.name ? field.label : `${name} ${field.label}`;
}

const data = (value: FieldValue) => (value instanceof Uint8Array ? formatHex(value) : value);

function diffLayer(a: Layer, b: Layer, changes: PacketChange[]): void {
  if (isPlain(a)) {
    diffBytes(a.name, bytesOf([a]), bytesOf([b]), a.offset, changes);
    return;
  }
  const before = a.fields();
  for (const place of b.places()) {
    const { field } = place;
    const [x, y] = [before[field.name], b.read(place)];
    if (x !== undefined && String(x) === String(y)) {
      findStale(a, b, field, changes);
      continue;
    }
    const computed = (field.auto ?? field.checksum)?.(b);
    const text = `${labelOf(b, field)} ${x === undefined ? 'none' : ''}${valueTexts(field, x, y)}`;
    const derived = computed !== undefined && computed === y;
    changes.push({
      kind: 'field',
      layer: b.name,
      field: field.name,
      before: x === undefined ? '' : data(x),
      after: data(y),
      derived,
      text,
    });
  }
}

function valueTexts(field: CompiledField, before: FieldValue | undefined, after: FieldValue): string {
  if (field.kind === 'mac' && before !== undefined) {
    const [x, y] = [shortMac(String(before)), shortMac(String(after))];
    if (x !== y) return `${x} -> ${y}`;
  }
  const text = (value: FieldValue) =>
    field.options && value instanceof Uint8Array
      ? `(${formatOptions(field.options, value)})`
      : formatValue(field, value);
  return `${before === undefined ? '' : text(before)} -> ${text(after)}`;
}

/** First and last byte. */
const shortMac = (mac: string) => `${mac.slice(0, 2)}:..:${mac.slice(-2)}`;

/** A length or protocol number that stayed although it no longer fits. */
function findStale(a: Layer, b: Layer, field: CompiledField, changes: PacketChange[]): void {
  if (!field.auto) return;
  const found = b.value(field.name) as number;
  const expected = field.auto(b);
  if (found === expected || field.auto(a) !== a.value(field.name)) return;
  const text = `${labelOf(b, field)} stale (${formatValue(field, found)}, should be ${formatValue(field, expected)})`;
  changes.push({ kind: 'stale', layer: b.name, field: field.name, found, expected, text });
}

function findStaleChecksums(
  a: Dissection,
  b: Dissection,
  pairs: readonly (readonly [number, number])[],
  changes: PacketChange[],
): void {
  const wrongBefore = new Set<Layer>();
  for (const { layer, state } of verifyChecksums(a)) if (state === 'wrong') wrongBefore.add(layer);
  for (const { layer, field, found, expected, state } of verifyChecksums(b)) {
    if (state !== 'wrong') continue;
    const left = pairs.find(([, right]) => right === layer.index)?.[0];
    if (left !== undefined && wrongBefore.has(a.layers[left]!)) continue;
    const row = layer.header.byName.get(field)!;
    const name = `${nameOf(layer)} ${field}`;
    const written = changes.some((change) => change.kind === 'field' && change.text.startsWith(`${name} `));
    const why = left === undefined || written ? 'wrong' : 'stale';
    const text = `${name} ${why} (${formatValue(row, found)}, should be ${formatValue(row, expected)})`;
    changes.push({ kind: 'stale', layer: layer.name, field, found, expected, text });
  }
}

/** Layers without a partner: gone, come, or the same bytes read in another way. */
function diffGap(gone: readonly Layer[], come: readonly Layer[], changes: PacketChange[]): void {
  const [before, after] = [bytesOf(gone), bytesOf(come)];
  if (gone.length && come.length && before.length === after.length) {
    diffBytes(gone[0]!.name, before, after, gone[0]!.offset, changes);
    return;
  }
  for (const layer of gone) changes.push(comeOrGone('removed', layer));
  for (const layer of come) changes.push(comeOrGone('added', layer));
}

const sizeOf = (layers: readonly Layer[]) => layers.reduce((sum, layer) => sum + layer.length, 0);

function bytesOf(layers: readonly Layer[]): Uint8Array {
  const [first, last] = [layers[0], layers.at(-1)];
  return first && last ? first.bytes.subarray(first.offset, last.offset + last.length) : new Uint8Array(0);
}

function comeOrGone(kind: 'added' | 'removed', layer: Layer): PacketChange {
  const { name: header, offset, length } = layer;
  const text = `${kind === 'added' ? '+' : '-'}${describe(layer)}`;
  return { kind, layer: header, offset, length, text };
}

/** `ip4 10.0.0.1 > 10.0.0.2`, `vlan 100`, `payload 40 bytes`. */
function describe(layer: Layer): string {
  const value = (name: string) => layer.value(name);
  switch (layer.name) {
    case 'eth':
    case 'ip4':
    case 'ip6':
      return `${layer.name} ${value('src')} > ${value('dst')}`;
    case 'tcp':
    case 'udp':
      return `${layer.name} ${value('sport')} > ${value('dport')}`;
    case 'vlan':
      return `vlan ${value('id')}`;
    case 'vxlan':
    case 'geneve':
      return `${layer.name} vni ${value('vni')}`;
    case 'mpls':
      return `mpls ${value('label')}`;
    case 'gre':
      return value('key') === undefined ? 'gre' : `gre key ${value('key')}`;
    case 'icmp':
    case 'icmp6':
      return `${layer.name} type ${value('type')}`;
    case 'payload':
    case 'padding':
      return `${layer.name} ${layer.length} bytes`;
    default:
      return layer.name;
  }
}

/** Longest run of bytes that a one-line text spells out. */
const SHOWN = 8;

function diffBytes(layer: string, a: Uint8Array, b: Uint8Array, offset: number, changes: PacketChange[]): void {
  const common = Math.min(a.length, b.length);
  const push = (start: number, before: Uint8Array, after: Uint8Array, text: string) =>
    changes.push({
      kind: 'bytes',
      layer,
      offset: offset + start,
      before: formatHex(before),
      after: formatHex(after),
      text,
    });
  for (let i = 0; i < common; i++) {
    if (a[i] === b[i]) continue;
    let end = i + 1;
    // A single equal byte between two different ones does not end the range.
    while (end < common && (a[end] !== b[end] || (end + 1 < common && a[end + 1] !== b[end + 1]))) end++;
    const [before, after] = [a.subarray(i, end), b.subarray(i, end)];
    const where = end - i === 1 ? `byte ${offset + i}` : `bytes ${offset + i}-${offset + end - 1}`;
    push(i, before, after, `${where} ${shortHex(before)} -> ${shortHex(after)}`);
    i = end;
  }
  if (a.length !== b.length) {
    push(common, a.subarray(common), b.subarray(common), `${layer} ${a.length} -> ${b.length} bytes`);
  }
}

const shortHex = (bytes: Uint8Array) =>
  bytes.length > SHOWN ? `${formatHex(bytes.subarray(0, SHOWN))}..` : formatHex(bytes);
