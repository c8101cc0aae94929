import { foldSum, pseudoHeaderSum, sumWords } from './checksum.ts';
import type { FieldKind } from './field.ts';
import { compileHeader, type FieldRow, type Header, type HeaderRow, type Layer } from './layer.ts';
import { headerFor, nextEthertype, nextIpProtocol, numberFor } from './protocols.ts';

function header<const F extends readonly FieldRow[]>(row: HeaderRow<F>): HeaderRow<F> {
  return row;
}

/** Bytes from the start of the header to the end of what it carries. */
const span = (layer: Layer) => layer.end - layer.offset;

/** Internet checksum over the header's range, its own 16-bit field at byte `at` taken as zero. */
function checksumWithout(layer: Layer, at: number, end: number, initial = 0): number {
  const field = layer.offset + at;
  const sum = sumWords(layer.bytes, field + 2, end, sumWords(layer.bytes, layer.offset, field, initial));
  return ~foldSum(sum) & 0xffff;
}

/** Sum of the pseudo header that the carrying IP header gives; 0 when there is none. */
function pseudo(layer: Layer, protocol: number): number {
  const ip = layer.ip;
  if (!ip) return 0;
  const [source, size] = ip.name === 'ip4' ? [ip.offset + 12, 4] : [ip.offset + 8, 16];
  const destination = finalDestination(layer, ip) ?? ip.bytes.subarray(source + size, source + 2 * size);
  return pseudoHeaderSum(ip.bytes.subarray(source, source + size), destination, protocol, span(layer));
}

/** A routing header with segments left: its last address (type 0, 2) or first segment (type 4) is where it ends up. */
function finalDestination(layer: Layer, ip: Layer): Uint8Array | undefined {
  for (let i = ip.index + 1; i < layer.index; i++) {
    const routing = layer.stack[i]!;
    if (routing.name !== 'routing' || routing.num('segleft') === 0 || routing.length < 24) continue;
    const at = routing.num('type') === 4 ? routing.offset + 8 : routing.offset + routing.length - 16;
    return routing.bytes.subarray(at, at + 16);
  }
  return undefined;
}

/** By the first nibble, as `mpls` and raw captures tell the versions apart. */
function ipByVersion(bytes: Uint8Array, at: number, end: number): string | undefined {
  if (at >= end) return undefined;
  return { 4: 'ip4', 6: 'ip6' }[bytes[at]! >> 4];
}

const byEthertype = (layer: Layer) => headerFor('ethertype', layer.num('type'));

/**
 * ```
 * | dst 48 | src 48 | type 16 |        type < 1536: a length (802.3)
 * ```
 */
const ETH = header({
  name: 'eth',
  title: 'Ethernet',
  fields: [
    { name: 'dst', kind: 'mac', default: '02:00:00:00:00:02', label: 'dst mac' },
    { name: 'src', kind: 'mac', default: '02:00:00:00:00:01', label: 'src mac' },
    { name: 'type', kind: 'hex', bits: 16, auto: nextEthertype, label: 'ethertype' },
  ],
  next: byEthertype,
});

/** The part of a tag behind the 0x8100 or 0x88a8, which is the type of the header before. */
const VLAN = header({
  name: 'vlan',
  title: 'VLAN',
  fields: [
    { name: 'pcp', kind: 'uint', bits: 3 },
    { name: 'dei', kind: 'uint', bits: 1 },
    { name: 'id', kind: 'uint', bits: 12, default: 1 },
    { name: 'type', kind: 'hex', bits: 16, auto: nextEthertype, label: 'ethertype' },
  ],
  next: byEthertype,
});

const arpIp4 = (layer: Layer) => layer.num('hwlen') === 6 && layer.num('plen') === 4;

const ARP = header({
  name: 'arp',
  title: 'ARP',
  fields: [
    { name: 'hwtype', kind: 'uint', bits: 16, default: 1 },
    { name: 'ptype', kind: 'hex', bits: 16, default: 0x0800 },
    { name: 'hwlen', kind: 'uint', bits: 8, default: 6 },
    { name: 'plen', kind: 'uint', bits: 8, default: 4 },
    { name: 'op', kind: 'uint', bits: 16, default: 1 },
    { name: 'sha', kind: 'mac', default: '02:00:00:00:00:01', when: arpIp4 },
    { name: 'spa', kind: 'ip4', default: '10.0.0.1', when: arpIp4 },
    { name: 'tha', kind: 'mac', default: '00:00:00:00:00:00', when: arpIp4 },
    { name: 'tpa', kind: 'ip4', default: '10.0.0.2', when: arpIp4 },
    {
      name: 'addresses',
      kind: 'bytes',
      when: (layer) => !arpIp4(layer),
      size: (layer) => 2 * (layer.num('hwlen') + layer.num('plen')),
    },
  ],
  extent: (layer) => layer.length,
});

const IP4 = header({
  name: 'ip4',
  title: 'IPv4',
  fields: [
    { name: 'version', kind: 'uint', bits: 4, default: 4 },
    { name: 'ihl', kind: 'uint', bits: 4, auto: (layer) => layer.length >> 2 },
    { name: 'dscp', kind: 'uint', bits: 6, label: 'dscp' },
    { name: 'ecn', kind: 'uint', bits: 2, label: 'ecn' },
    { name: 'len', kind: 'uint', bits: 16, auto: span },
    { name: 'id', kind: 'hex', bits: 16 },
    { name: 'flags', kind: 'flags', bits: 3, flags: ['MF', 'DF', 'RF'] },
    { name: 'frag', kind: 'uint', bits: 13 },
    { name: 'ttl', kind: 'uint', bits: 8, default: 64, label: 'ttl' },
    { name: 'proto', kind: 'uint', bits: 8, auto: nextIpProtocol },
    {
      name: 'checksum',
      kind: 'hex',
      bits: 16,
      checksum: (layer) => checksumWithout(layer, 10, layer.offset + layer.length),
    },
    { name: 'src', kind: 'ip4', default: '10.0.0.1', label: 'src ip' },
    { name: 'dst', kind: 'ip4', default: '10.0.0.2', label: 'dst ip' },
    { name: 'options', kind: 'bytes', options: 'ip4', size: (layer) => layer.num('ihl') * 4 - 20 },
  ],
  check: (layer) => {
    if (layer.num('version') !== 4) return `version ${layer.num('version')} in an IPv4 header`;
    if (layer.num('ihl') < 5) return `header length ${layer.num('ihl') * 4}, at least 20 wanted`;
    const len = layer.num('len');
    if (len !== 0 && len < layer.num('ihl') * 4) return `total length ${len} is less than the header's`;
    return undefined;
  },
  // 0: the sender leaves cutting into segments to the device, and the capture was taken before.
  extent: (layer) => layer.num('len') || undefined,
  next: (layer) => (layer.num('frag') === 0 ? headerFor('ipproto', layer.num('proto')) : undefined),
});

const byNextHeader = (layer: Layer) => headerFor('ipproto', layer.num('next'));

const IP6 = header({
  name: 'ip6',
  title: 'IPv6',
  fields: [
    { name: 'version', kind: 'uint', bits: 4, default: 6 },
    { name: 'dscp', kind: 'uint', bits: 6, label: 'dscp' },
    { name: 'ecn', kind: 'uint', bits: 2, label: 'ecn' },
    { name: 'flow', kind: 'hex', bits: 20 },
    { name: 'plen', kind: 'uint', bits: 16, auto: (layer) => span(layer) - 40 },
    { name: 'next', kind: 'uint', bits: 8, auto: nextIpProtocol },
    { name: 'hlim', kind: 'uint', bits: 8, default: 64, label: 'hlim' },
    { name: 'src', kind: 'ip6', default: 'fd00::1', label: 'src ip' },
    { name: 'dst', kind: 'ip6', default: 'fd00::2', label: 'dst ip' },
  ],
  check: (layer) => (layer.num('version') === 6 ? undefined : `version ${layer.num('version')} in an IPv6 header`),
  // 0 with a hop-by-hop header: a jumbogram, or one that the device is to cut into segments.
  extent: (layer) => (layer.num('plen') === 0 && layer.num('next') === 0 ? undefined : 40 + layer.num('plen')),
  next: byNextHeader,
});

const nextHeaderField = { name: 'next', kind: 'uint', bits: 8, auto: nextIpProtocol } as const;
/** In 8-byte units, the first not counted. */
const extensionLength = {
  name: 'len',
  kind: 'uint',
  bits: 8,
  auto: (layer: Layer) => (layer.length >> 3) - 1,
} as const;

const HOPOPTS = header({
  name: 'hopopts',
  title: 'hop-by-hop',
  fields: [
    nextHeaderField,
    extensionLength,
    { name: 'options', kind: 'bytes', options: 'ip6', size: (layer) => layer.num('len') * 8 + 6 },
  ],
  next: byNextHeader,
});

const DSTOPTS = header({ ...HOPOPTS, name: 'dstopts', title: 'destination options' });

const ROUTING = header({
  name: 'routing',
  title: 'routing',
  fields: [
    nextHeaderField,
    extensionLength,
    { name: 'type', kind: 'uint', bits: 8 },
    { name: 'segleft', kind: 'uint', bits: 8 },
    { name: 'data', kind: 'bytes', size: (layer) => layer.num('len') * 8 + 4 },
  ],
  next: byNextHeader,
});

const FRAGMENT = header({
  name: 'fragment',
  title: 'fragment',
  fields: [
    nextHeaderField,
    { name: 'reserved', kind: 'uint', bits: 8 },
    { name: 'frag', kind: 'uint', bits: 13 },
    { name: 'reserved2', kind: 'uint', bits: 2 },
    { name: 'mf', kind: 'uint', bits: 1 },
    { name: 'id', kind: 'hex', bits: 32 },
  ],
  next: (layer) => (layer.num('frag') === 0 ? byNextHeader(layer) : undefined),
});

const ICMP_ECHO = new Set([0, 8, 13, 14, 15, 16, 17, 18]);
const ICMP_ERRORS = new Set([3, 4, 5, 11, 12]);
const icmpType = (types: ReadonlySet<number>) => (layer: Layer) => types.has(layer.num('type'));
const icmpOther = (layer: Layer) => !ICMP_ECHO.has(layer.num('type')) && ![3, 5].includes(layer.num('type'));

const ICMP = header({
  name: 'icmp',
  title: 'ICMP',
  fields: [
    { name: 'type', kind: 'uint', bits: 8, default: 8 },
    { name: 'code', kind: 'uint', bits: 8 },
    { name: 'checksum', kind: 'hex', bits: 16, checksum: (layer) => checksumWithout(layer, 2, layer.end) },
    { name: 'id', kind: 'uint', bits: 16, when: icmpType(ICMP_ECHO) },
    { name: 'seq', kind: 'uint', bits: 16, when: icmpType(ICMP_ECHO) },
    { name: 'unused', kind: 'hex', bits: 16, when: icmpType(new Set([3])) },
    { name: 'mtu', kind: 'uint', bits: 16, when: icmpType(new Set([3])) },
    { name: 'gateway', kind: 'ip4', default: '0.0.0.0', when: icmpType(new Set([5])) },
    { name: 'rest', kind: 'hex', bits: 32, when: icmpOther },
  ],
  next: (layer) => (ICMP_ERRORS.has(layer.num('type')) && layer.end > layer.offset + 8 ? 'ip4' : undefined),
  quotes: icmpType(ICMP_ERRORS),
});

const icmp6Type = (...types: number[]) => icmpType(new Set(types));
const icmp6Other = (layer: Layer) => ![2, 128, 129, 134, 136].includes(layer.num('type'));

const ICMP6 = header({
  name: 'icmp6',
  title: 'ICMPv6',
  fields: [
    { name: 'type', kind: 'uint', bits: 8, default: 128 },
    { name: 'code', kind: 'uint', bits: 8 },
    {
      name: 'checksum',
      kind: 'hex',
      bits: 16,
      checksum: (layer) => checksumWithout(layer, 2, layer.end, pseudo(layer, 58)),
    },
    { name: 'id', kind: 'uint', bits: 16, when: icmp6Type(128, 129) },
    { name: 'seq', kind: 'uint', bits: 16, when: icmp6Type(128, 129) },
    { name: 'mtu', kind: 'uint', bits: 32, when: icmp6Type(2) },
    { name: 'hlim', kind: 'uint', bits: 8, when: icmp6Type(134), default: 64 },
    { name: 'raflags', kind: 'hex', bits: 8, when: icmp6Type(134) },
    { name: 'lifetime', kind: 'uint', bits: 16, when: icmp6Type(134), default: 1800 },
    { name: 'reachable', kind: 'uint', bits: 32, when: icmp6Type(134) },
    { name: 'retrans', kind: 'uint', bits: 32, when: icmp6Type(134) },
    { name: 'naflags', kind: 'flags', bits: 3, flags: ['O', 'S', 'R'], when: icmp6Type(136) },
    { name: 'reserved', kind: 'hex', bits: 29, when: icmp6Type(136) },
    { name: 'rest', kind: 'hex', bits: 32, when: icmp6Other },
    { name: 'target', kind: 'ip6', default: 'fd00::2', when: icmp6Type(135, 136, 137) },
    { name: 'dest', kind: 'ip6', default: '::', when: icmp6Type(137) },
    {
      name: 'options',
      kind: 'bytes',
      options: 'ndp',
      when: icmp6Type(133, 134, 135, 136, 137),
      size: (_, remaining) => remaining,
    },
  ],
  next: (layer) => (layer.num('type') < 5 && layer.end > layer.offset + 8 ? 'ip6' : undefined),
  quotes: (layer) => layer.num('type') < 5,
});

const TCP = header({
  name: 'tcp',
  title: 'TCP',
  fields: [
    { name: 'sport', kind: 'uint', bits: 16, default: 1024, label: 'sport' },
    { name: 'dport', kind: 'uint', bits: 16, default: 80, label: 'dport' },
    { name: 'seq', kind: 'uint', bits: 32 },
    { name: 'ack', kind: 'uint', bits: 32 },
    { name: 'doff', kind: 'uint', bits: 4, auto: (layer) => layer.length >> 2 },
    { name: 'reserved', kind: 'uint', bits: 3 },
    { name: 'flags', kind: 'flags', bits: 9, default: 2, flags: ['F', 'S', 'R', 'P', 'A', 'U', 'E', 'C', 'N'] },
    { name: 'window', kind: 'uint', bits: 16, default: 65535 },
    {
      name: 'checksum',
      kind: 'hex',
      bits: 16,
      checksum: (layer) => checksumWithout(layer, 16, layer.end, pseudo(layer, 6)),
    },
    { name: 'urgptr', kind: 'uint', bits: 16 },
    { name: 'options', kind: 'bytes', options: 'tcp', size: (layer) => layer.num('doff') * 4 - 20 },
  ],
  check: (layer) => (layer.num('doff') < 5 ? `header length ${layer.num('doff') * 4}, at least 20 wanted` : undefined),
});

const UDP = header({
  name: 'udp',
  title: 'UDP',
  fields: [
    { name: 'sport', kind: 'uint', bits: 16, default: 1024, label: 'sport' },
    { name: 'dport', kind: 'uint', bits: 16, default: 9, label: 'dport' },
    { name: 'len', kind: 'uint', bits: 16, auto: span },
    {
      name: 'checksum',
      kind: 'hex',
      bits: 16,
      // A sum of zero is sent as all ones: zero means "no checksum".
      checksum: (layer) => checksumWithout(layer, 6, layer.end, pseudo(layer, 17)) || 0xffff,
    },
  ],
  check: (layer) => {
    const len = layer.num('len');
    return len < 8 && len !== 0 ? `length ${len} is less than the header's` : undefined;
  },
  extent: (layer) => layer.num('len') || undefined,
  next: (layer) => headerFor('udpport', layer.num('dport')),
});

const gre = (flag: string) => (layer: Layer) => layer.num('version') === 0 && layer.num(flag) === 1;
const greChecksum = (layer: Layer) => gre('c')(layer) || gre('r')(layer);

/**
 * ```
 * |c|r|k|s|ssr| recur 3 | flags 5 | version 3 | type 16 |   checksum and reserved when c, key when k, seq when s
 * ```
 */
const GRE = header({
  name: 'gre',
  title: 'GRE',
  fields: [
    { name: 'c', kind: 'uint', bits: 1, setBy: 'checksum' },
    { name: 'r', kind: 'uint', bits: 1 },
    { name: 'k', kind: 'uint', bits: 1, setBy: 'key' },
    { name: 's', kind: 'uint', bits: 1, setBy: 'seq' },
    { name: 'ssr', kind: 'uint', bits: 1 },
    { name: 'recur', kind: 'uint', bits: 3 },
    { name: 'flags', kind: 'hex', bits: 5 },
    { name: 'version', kind: 'uint', bits: 3 },
    { name: 'type', kind: 'hex', bits: 16, auto: nextEthertype },
    {
      name: 'checksum',
      kind: 'hex',
      bits: 16,
      when: greChecksum,
      checksum: (layer) => checksumWithout(layer, 4, layer.end),
    },
    { name: 'reserved', kind: 'hex', bits: 16, when: greChecksum },
    { name: 'key', kind: 'hex', bits: 32, when: gre('k') },
    { name: 'seq', kind: 'uint', bits: 32, when: gre('s') },
  ],
  check: (layer) => {
    if (layer.num('version') !== 0) return `GRE version ${layer.num('version')} is not read`;
    return layer.num('r') ? 'GRE source routes are not read' : undefined;
  },
  next: byEthertype,
});

const VXLAN = header({
  name: 'vxlan',
  title: 'VXLAN',
  fields: [
    { name: 'flags', kind: 'hex', bits: 8, default: 0x08 },
    { name: 'reserved', kind: 'hex', bits: 24 },
    { name: 'vni', kind: 'uint', bits: 24 },
    { name: 'reserved2', kind: 'hex', bits: 8 },
  ],
  next: () => 'eth',
});

const GENEVE = header({
  name: 'geneve',
  title: 'Geneve',
  fields: [
    { name: 'version', kind: 'uint', bits: 2 },
    { name: 'optlen', kind: 'uint', bits: 6, auto: (layer) => (layer.length - layer.header.size) >> 2 },
    { name: 'o', kind: 'uint', bits: 1 },
    { name: 'c', kind: 'uint', bits: 1 },
    { name: 'reserved', kind: 'hex', bits: 6 },
    { name: 'type', kind: 'hex', bits: 16, auto: nextEthertype },
    { name: 'vni', kind: 'uint', bits: 24 },
    { name: 'reserved2', kind: 'hex', bits: 8 },
    { name: 'options', kind: 'bytes', options: 'geneve', size: (layer) => layer.num('optlen') * 4 },
  ],
  check: (layer) => (layer.num('version') ? `Geneve version ${layer.num('version')} is not read` : undefined),
  next: byEthertype,
});

const MPLS = header({
  name: 'mpls',
  title: 'MPLS',
  fields: [
    { name: 'label', kind: 'uint', bits: 20, default: 16 },
    { name: 'tc', kind: 'uint', bits: 3 },
    { name: 'bos', kind: 'uint', bits: 1, auto: (layer) => (layer.next?.name === 'mpls' ? 0 : 1) },
    { name: 'ttl', kind: 'uint', bits: 8, default: 64 },
  ],
  next: (layer) => (layer.num('bos') ? ipByVersion(layer.bytes, layer.offset + 4, layer.end) : 'mpls'),
});

const rest = { name: 'data', kind: 'bytes', size: (_: Layer, remaining: number) => remaining } as const;

/** What no table reads. */
const PAYLOAD = header({ name: 'payload', title: 'payload', fields: [rest] });
/** Bytes behind the end of what an inner header announced, as on short Ethernet frames. */
const PADDING = header({ name: 'padding', title: 'padding', fields: [rest] });

const TABLES = {
  eth: ETH,
  vlan: VLAN,
  arp: ARP,
  ip4: IP4,
  ip6: IP6,
  hopopts: HOPOPTS,
  routing: ROUTING,
  fragment: FRAGMENT,
  dstopts: DSTOPTS,
  icmp: ICMP,
  icmp6: ICMP6,
  tcp: TCP,
  udp: UDP,
  gre: GRE,
  vxlan: VXLAN,
  geneve: GENEVE,
  mpls: MPLS,
  payload: PAYLOAD,
  padding: PADDING,
} as const;

export type HeaderName = keyof typeof TABLES;

/** All headers by name. */
export const HEADERS = Object.fromEntries(
  Object.entries(TABLES).map(([name, row]) => [name, compileHeader(row)]),
) as unknown as Readonly<Record<HeaderName, Header>>;

/** An option for the builder: by name or number, with a value that fits it or raw bytes. */
export interface OptionInput {
  readonly name?: string;
  readonly kind?: number;
  /** Geneve's option class. */
  readonly class?: number;
  readonly value?: number | string | readonly number[];
  readonly data?: Uint8Array;
}

interface InputOf {
  uint: number;
  hex: number;
  flags: number | string;
  mac: string | Uint8Array;
  ip4: string | Uint8Array;
  ip6: string | Uint8Array;
  bytes: Uint8Array | string | readonly OptionInput[];
}

/** Fields of a header as the builder takes them; what is left out gets its default or is computed. */
export type FieldsOf<N extends HeaderName> = {
  readonly [R in (typeof TABLES)[N]['fields'][number] as R['name']]?: InputOf[R['kind'] & FieldKind];
};

/** Where dissection of a link type starts. */
export function firstHeader(linkType: number, bytes: Uint8Array): HeaderName | undefined {
  const name = headerFor('linktype', linkType);
  return (name === 'ip' ? ipByVersion(bytes, 0, bytes.length) : name) as HeaderName | undefined;
}

/** Destination port that announces a header carried over UDP, for the builder. */
export function udpPortFor(name: string): number | undefined {
  return numberFor('udpport', name);
}
