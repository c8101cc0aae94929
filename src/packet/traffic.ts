import { formatIp4, parseIp4 } from '../base/address.ts';
import { PacketError } from '../base/error.ts';
import type { Rng } from '../base/rng.ts';
import { eth, type PacketBuilder } from './builder.ts';
import { updateChecksum16, updateChecksum32 } from './checksum.ts';

/** Frame check sequence: counted in frame sizes, never seen by programs. */
export const FCS = 4;
const SMALLEST = 64;

/** What all generators share. */
export interface TrafficOptions {
  /**
   * Ethernet frame size as testers count it, with the 4 bytes of the frame check sequence: 64 gives packets of 60 bytes.
   * At least what the headers take.
   */
  readonly size?: number;
  /** Number of packets; default: without end. */
  readonly count?: number;
  readonly srcMac?: string;
  readonly dstMac?: string;
  /** First source address; flows beyond the source ports take the next ones. */
  readonly src?: string;
  readonly dst?: string;
  /** First source port. */
  readonly sport?: number;
  readonly dport?: number;
  readonly vlan?: number;
  /** Default 4. */
  readonly ipVersion?: 4 | 6;
}

export interface FlowOptions extends TrafficOptions {
  /** Number of flows: they differ in source port (and address, beyond 32,768). */
  readonly flows?: number;
  /** Picks the next flow at random; without it, one after the other. */
  readonly rng?: Rng;
}

const PORTS = 0x8000;

function l3(options: TrafficOptions): PacketBuilder {
  const { srcMac = '02:00:00:00:00:01', dstMac = '02:00:00:00:00:02', src, dst, vlan, ipVersion = 4 } = options;
  let builder = eth({ src: srcMac, dst: dstMac });
  if (vlan !== undefined) builder = builder.vlan({ id: vlan });
  return ipVersion === 4 ? builder.ip4({ src, dst }) : builder.ip6({ src, dst });
}

/** Fills up to the frame size with a counting pattern. */
function filled(builder: PacketBuilder, size = SMALLEST): Uint8Array {
  const length = size - FCS - builder.build().length;
  return (length > 0 ? builder.payload(pattern(length)) : builder).build();
}

/** Bytes 0, 1, 2, ... */
export function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i & 0xff);
}

function* counted<T>(count: number | undefined, make: (i: number) => T): Generator<T> {
  const end = count ?? Number.POSITIVE_INFINITY;
  for (let i = 0; i < end; i++) yield make(i);
}

/** Where a template's source address and port lie, and the checksums that cover them. */
interface Patch {
  readonly address: number;
  readonly port: number;
  readonly checksums: readonly number[];
}

function patchPlaces(options: TrafficOptions): Patch {
  const ip = 14 + (options.vlan === undefined ? 0 : 4);
  if (options.ipVersion === 6) return { address: ip + 20, port: ip + 40, checksums: [ip + 46] };
  return { address: ip + 12, port: ip + 20, checksums: [ip + 10, ip + 26] };
}

/** A copy of the template for flow `flow`, its checksums updated by the difference (RFC 1624). */
function flowPacket(template: Uint8Array, places: Patch, flow: number): Uint8Array {
  const bytes = template.slice();
  if (flow === 0) return bytes;
  const view = new DataView(bytes.buffer);
  const { address, port, checksums } = places;
  const [oldAddress, oldPort] = [view.getUint32(address), view.getUint16(port)];
  const newAddress = (oldAddress + Math.floor(flow / PORTS)) >>> 0;
  const newPort = (oldPort + (flow % PORTS)) & 0xffff;
  view.setUint32(address, newAddress);
  view.setUint16(port, newPort);
  for (const [i, at] of checksums.entries()) {
    let sum = updateChecksum32(view.getUint16(at), oldAddress, newAddress);
    const udp = i === checksums.length - 1;
    if (udp) sum = updateChecksum16(sum, oldPort, newPort) || 0xffff;
    view.setUint16(at, sum);
  }
  return bytes;
}

/**
 * UDP packets of many flows, all of one size.
 *
 * ```ts
 * for (const packet of udpFlows({ flows: 64, size: 64, count: 1000 })) device.receive(packet);
 * ```
 */
export function* udpFlows(options: FlowOptions = {}): Generator<Uint8Array> {
  const { flows = 1, sport = 1024, dport = 9, rng, size, count } = options;
  if (flows < 1) throw new PacketError(`${flows} flows`, { hint: 'at least 1' });
  const template = filled(l3(options).udp({ sport, dport }), size);
  const places = patchPlaces(options);
  yield* counted(count, (i) => flowPacket(template, places, rng ? rng.below(flows) : i % flows));
}

export interface TcpFlowOptions extends FlowOptions {
  /** Data packets per flow, between handshake and end; default 4. */
  readonly packets?: number;
  /** Also the server's side; default true. */
  readonly replies?: boolean;
}

/**
 * Whole TCP connections, side by side: handshake, data in full packets with their acknowledgements, both FINs. Ends
 * after the last, or after `count` packets. With an rng, the connections advance in random order.
 */
export function* tcpFlows(options: TcpFlowOptions = {}): Generator<Uint8Array> {
  const { flows = 1, replies = true, rng, count = Number.POSITIVE_INFINITY } = options;
  const connections = Array.from({ length: flows }, (_, flow) => connection(options, flow));
  let given = 0;
  for (let turn = 0; connections.length > 0 && given < count; turn++) {
    const at = rng ? rng.below(connections.length) : turn % connections.length;
    const { value, done } = connections[at]!.next();
    if (done) connections.splice(at, 1);
    else if (value.fromClient || replies) {
      given++;
      yield value.bytes;
    }
  }
}

const ISN = 1000;
const SERVER_ISN = 2_000_000_000;

function* connection(options: TcpFlowOptions, flow: number): Generator<{ bytes: Uint8Array; fromClient: boolean }> {
  const { packets = 4, sport = 1024, dport = 80, size = SMALLEST } = options;
  const { srcMac = '02:00:00:00:00:01', dstMac = '02:00:00:00:00:02', ipVersion = 4 } = options;
  const { src = ipVersion === 4 ? '10.0.0.1' : 'fd00::1', dst = ipVersion === 4 ? '10.0.0.2' : 'fd00::2' } = options;
  const port = sport + (flow % PORTS);
  const client = l3({ ...options, src, dst, srcMac, dstMac });
  const server = l3({ ...options, src: dst, dst: src, srcMac: dstMac, dstMac: srcMac });
  let [seq, ack] = [ISN + flow, SERVER_ISN + flow];
  const up = (flags: string, extra: object = {}) =>
    client.tcp({ sport: port, dport, seq, ack: flags === 'S' ? 0 : ack, flags, ...extra });
  const down = (flags: string, extra: object = {}) =>
    server.tcp({ sport: dport, dport: port, seq: ack, ack: seq, flags, ...extra });
  const options1 = {
    options: [{ name: 'mss', value: 1460 }, { name: 'sackok' }, { name: 'nop' }, { name: 'wscale', value: 7 }],
  };
  const give = (builder: PacketBuilder, fromClient: boolean) => ({ bytes: builder.build(), fromClient });

  yield give(up('S', options1), true);
  seq++;
  yield give(down('SA', options1), false);
  ack++;
  yield give(up('A'), true);
  for (let i = 0; i < packets; i++) {
    const head = up('PA');
    const data = pattern(Math.max(1, size - FCS - head.build().length));
    yield give(head.payload(data), true);
    seq = (seq + data.length) >>> 0;
    yield give(down('A'), false);
  }
  yield give(up('FA'), true);
  seq++;
  yield give(down('FA'), false);
  ack++;
  yield give(up('A'), true);
}

/** Sizes and their shares of the simple Internet mix, with frame check sequence. */
export const IMIX = [
  { size: 64, share: 7 },
  { size: 594, share: 4 },
  { size: 1518, share: 1 },
] as const;

export interface ImixOptions extends FlowOptions {
  readonly mix?: readonly { readonly size: number; readonly share: number }[];
}

/** UDP packets whose sizes have exactly the mix's shares in each round; with an rng, in random order within it. */
export function* imix(options: ImixOptions = {}): Generator<Uint8Array> {
  const { mix = IMIX, flows = 1, rng, sport = 1024, dport = 9, count } = options;
  const places = patchPlaces(options);
  const templates = mix.map(({ size }) => filled(l3(options).udp({ sport, dport }), size));
  const round = mix.flatMap(({ share }, i) => new Array<number>(share).fill(i));
  if (round.length === 0) throw new PacketError('a mix without packets', { hint: 'give sizes and shares above 0' });
  yield* counted(count, (i) => {
    const at = i % round.length;
    if (rng && at === 0) shuffle(round, rng);
    return flowPacket(templates[round[at]!]!, places, rng ? rng.below(flows) : i % flows);
  });
}

function shuffle(list: number[], rng: Rng): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = rng.below(i + 1);
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
}

/** One UDP packet of each frame size, smallest first. */
export function* sizeSweep({
  from = SMALLEST,
  to = 1518,
  step = 1,
  ...options
}: TrafficOptions & { from?: number; to?: number; step?: number } = {}): Generator<Uint8Array> {
  if (step < 1) throw new PacketError(`a step of ${step} never arrives`, { hint: 'give 1 or more' });
  const { sport = 1024, dport = 9, count = Number.POSITIVE_INFINITY } = options;
  for (let size = from, i = 0; size <= to && i < count; size += step, i++) {
    yield filled(l3(options).udp({ sport, dport }), size);
  }
}

/** One packet to each destination port. */
export function* portSweep({
  from = 1,
  to = 65535,
  protocol = 'tcp',
  ...options
}: TrafficOptions & { from?: number; to?: number; protocol?: 'tcp' | 'udp' } = {}): Generator<Uint8Array> {
  const { sport = 40_000, count = Number.POSITIVE_INFINITY } = options;
  for (let dport = from, i = 0; dport <= to && i < count; dport++, i++) {
    const head = l3(options);
    yield filled(protocol === 'tcp' ? head.tcp({ sport, dport }) : head.udp({ sport, dport }), options.size);
  }
}

/**
 * One UDP packet to each address of an IPv4 prefix (`10.0.0.0/24`).
 * @throws PacketError when it is none.
 */
export function* addressSweep({ prefix, ...options }: TrafficOptions & { prefix: string }): Generator<Uint8Array> {
  const [text = '', length = '32'] = prefix.split('/');
  const bits = Number(length);
  if (!/^\d+$/.test(length) || bits > 32) {
    throw new PacketError(`"${prefix}" is not an IPv4 prefix`, { hint: 'write it as in 10.0.0.0/24' });
  }
  const base = new DataView(parseIp4(text).buffer).getUint32(0);
  const size = 2 ** (32 - bits);
  const first = base - (base % size);
  const { sport = 1024, dport = 9, count = Number.POSITIVE_INFINITY } = options;
  for (let i = 0; i < size && i < count; i++) {
    const address = first + i;
    const dst = formatIp4([address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255]);
    yield filled(l3({ ...options, ipVersion: 4, dst }).udp({ sport, dport }), options.size);
  }
}
