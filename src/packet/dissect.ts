import { firstHeader, HEADERS, type HeaderName } from './headers.ts';
import { Layer } from './layer.ts';
import { parseOptions } from './options.ts';
import { LINK_TYPES } from './protocols.ts';

/** LINKTYPE_ETHERNET, the default everywhere. */
export const ETHERNET: number = LINK_TYPES[0].value;

/** More headers than any real packet has; what lies deeper is payload. */
const MAX_LAYERS = 64;

/** Something that is wrong with a packet. */
export interface Problem {
  /** Header in question. */
  readonly layer: string;
  /** Bytes from the start of the packet. */
  readonly offset: number;
  readonly text: string;
}

/** A packet taken apart. The layers cover it without gaps, from first to last byte. */
export interface Dissection {
  readonly bytes: Uint8Array;
  readonly linkType: number;
  readonly layers: readonly Layer[];
  readonly problems: readonly Problem[];
  /** Fewer bytes are there than the headers announce. */
  readonly truncated: boolean;
}

/** Takes a packet apart. Never throws: what makes no sense becomes a payload layer and a problem. */
export function dissect(bytes: Uint8Array, { linkType = ETHERNET }: { linkType?: number } = {}): Dissection {
  const layers: Layer[] = [];
  const problems: Problem[] = [];
  const paddings: number[] = [];
  let truncated = false;
  let quoted = false;
  let fragmented = false;
  let at = 0;
  let end = bytes.length;
  let name = firstHeader(linkType, bytes) as string | undefined;

  while (name !== undefined && layers.length < MAX_LAYERS) {
    const header = HEADERS[name as HeaderName];
    const layer = new Layer(header, bytes, at, end, layers, layers.length);
    const measured = layer.measure(end);
    if (!measured) {
      truncated = true;
      if (!quoted) {
        problems.push({ layer: name, offset: at, text: `${header.title} header cut: ${end - at} bytes are there` });
      }
      break;
    }
    layer.length = measured.length;
    layers.push(layer);
    at += measured.length;
    const problem = header.check?.(layer);
    if (problem) {
      problems.push({ layer: name, offset: layer.offset, text: problem });
      break;
    }
    if (measured.cut > 0) {
      truncated = true;
      problems.push({ layer: name, offset: layer.offset, text: `${header.title} header cut by ${measured.cut} bytes` });
    }
    const stated = header.extent?.(layer);
    if (stated !== undefined) {
      const statedEnd = layer.offset + stated;
      if (statedEnd > end && !quoted && !fragmented) {
        truncated = true;
        const text = `length says ${stated} bytes, ${end - layer.offset} are there`;
        problems.push({ layer: name, offset: layer.offset, text });
      } else if (statedEnd < end) {
        paddings.push(end);
        end = statedEnd;
      }
    }
    layer.end = end;
    quoted ||= header.quotes?.(layer) ?? false;
    fragmented ||= isFragment(layer);
    checkOptions(layer, problems);
    name = header.next?.(layer);
  }

  if (at < end) add(layers, 'payload', bytes, at, end);
  at = end;
  for (const paddingEnd of paddings.reverse()) {
    add(layers, 'padding', bytes, at, paddingEnd);
    at = paddingEnd;
  }
  return { bytes, linkType, layers, problems, truncated };
}

function add(layers: Layer[], name: 'payload' | 'padding', bytes: Uint8Array, start: number, end: number): void {
  const layer = new Layer(HEADERS[name], bytes, start, end, layers, layers.length);
  layer.length = end - start;
  layers.push(layer);
}

/** Does the header say that its content is only a part of something? */
export function isFragment(layer: Layer): boolean {
  if (layer.name === 'ip4') return layer.num('frag') !== 0 || (layer.num('flags') & 1) !== 0;
  return layer.name === 'fragment' && (layer.num('frag') !== 0 || layer.num('mf') !== 0);
}

function checkOptions(layer: Layer, problems: Problem[]): void {
  if (layer.header.fixed || layer.length <= layer.header.size) return;
  for (const place of layer.places()) {
    if (!place.field.options || place.bits === 0) continue;
    const { problem } = parseOptions(place.field.options, layer.read(place) as Uint8Array);
    if (problem) problems.push({ layer: layer.name, offset: layer.offset + place.bitOffset / 8, text: problem });
  }
}

/** A layer as plain data, for JSON: name, place, fields. */
export interface LayerData {
  readonly layer: string;
  readonly offset: number;
  readonly length: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The layers as plain data; bytes as hex. */
export function dissectionData(dissection: Dissection): { layers: LayerData[]; problems: readonly Problem[] } {
  const layers = dissection.layers.map((layer): LayerData => {
    const fields = Object.entries(layer.fields()).map(([name, value]) => [
      name,
      value instanceof Uint8Array ? Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('') : value,
    ]);
    return { layer: layer.name, offset: layer.offset, length: layer.length, fields: Object.fromEntries(fields) };
  });
  return { layers, problems: dissection.problems };
}

/** Checksum of one layer, checked. */
export interface ChecksumResult {
  readonly layer: Layer;
  readonly field: string;
  readonly found: number;
  /** What the bytes give; equal to `found` when ok. */
  readonly expected: number;
  /** `none`: UDP over IPv4 without one. `unknown`: the covered bytes are not all there. */
  readonly state: 'ok' | 'wrong' | 'none' | 'unknown';
}

/** Checks every checksum in a packet, outer ones first. */
export function verifyChecksums(dissection: Dissection): ChecksumResult[] {
  const results: ChecksumResult[] = [];
  let partial = false;
  for (const layer of dissection.layers) {
    for (const place of layer.places()) {
      const { checksum, name } = place.field;
      if (!checksum || (layer.name === 'gre' && !layer.num('c'))) continue;
      const found = layer.read(place) as number;
      const expected = checksum(layer);
      results.push({
        layer,
        field: name,
        found,
        expected,
        state: checksumState(layer, found, expected, partial, dissection),
      });
    }
    partial ||= isFragment(layer) || (layer.header.quotes?.(layer) ?? false);
  }
  return results;
}

function checksumState(
  layer: Layer,
  found: number,
  expected: number,
  partial: boolean,
  dissection: Dissection,
): ChecksumResult['state'] {
  if (layer.name === 'udp' && found === 0) return 'none';
  // The IPv4 header covers itself only, so it can be judged in cut packets too.
  if (layer.name !== 'ip4' && (partial || dissection.truncated)) return 'unknown';
  // All ones and zero are the same number in ones-complement arithmetic.
  return found === expected || (found % 0xffff === 0 && expected % 0xffff === 0) ? 'ok' : 'wrong';
}
