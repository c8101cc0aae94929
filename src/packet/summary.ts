import { type Dissection, dissect } from './dissect.ts';
import { formatFlags } from './field.ts';
import type { Layer } from './layer.ts';
import { protocolName } from './protocols.ts';

/** What a one-line summary says, in parts. */
export interface PacketSummary {
  /** `10.0.0.1:4001`, `[fd00::1]:53`, or a MAC address where there is no IP. */
  readonly from: string;
  readonly to: string;
  /** `TCP`, `ICMP`, `ARP`, or the name of an unread Ethernet type. */
  readonly protocol: string;
  /** TCP flags, ICMP type, ARP operation. */
  readonly info: string;
  /** Bytes present. */
  readonly length: number;
  /** Bytes on the wire. */
  readonly originalLength: number;
  /** Tags, tunnels, fragments and what is wrong with the packet. */
  readonly notes: readonly string[];
}

const ICMP_TYPES: Readonly<Record<number, string>> = {
  0: 'echo reply',
  3: 'unreachable',
  4: 'source quench',
  5: 'redirect',
  8: 'echo request',
  11: 'time exceeded',
  12: 'parameter problem',
};

const ICMP6_TYPES: Readonly<Record<number, string>> = {
  1: 'unreachable',
  2: 'packet too big',
  3: 'time exceeded',
  4: 'parameter problem',
  128: 'echo request',
  129: 'echo reply',
  133: 'router solicitation',
  134: 'router advertisement',
  135: 'neighbor solicitation',
  136: 'neighbor advertisement',
  137: 'redirect',
  143: 'listener report',
};

/** The layers of the packet itself, without those of a packet that an ICMP error quotes. */
function own(layers: readonly Layer[]): readonly Layer[] {
  const quote = layers.findIndex((layer) => layer.header.quotes?.(layer));
  return quote < 0 ? layers : layers.slice(0, quote + 1);
}

/**
 * Summary of a dissected packet: its innermost flow, and around it what carries it.
 * @param originalLength bytes on the wire, when the capture may have kept fewer.
 */
export function summaryOf(dissection: Dissection, originalLength = dissection.bytes.length): PacketSummary {
  const layers = own(dissection.layers);
  const notes: string[] = [];
  let [from, to, protocol, info] = ['?', '?', 'data', ''];
  let addresses: readonly [string, string] | undefined;
  for (const layer of layers) {
    switch (layer.name) {
      case 'eth':
        if (addresses) notes.push(`in ${addresses.join(' > ')}`);
        addresses = undefined;
        [from, to] = [layer.value('src') as string, layer.value('dst') as string];
        protocol = etherName(layer);
        break;
      case 'vlan':
        notes.push(`vlan ${layer.num('id')}`);
        protocol = etherName(layer);
        break;
      case 'arp':
        if (layer.value('spa') !== undefined) [from, to] = [layer.value('spa') as string, layer.value('tpa') as string];
        info = { 1: 'request', 2: 'reply' }[layer.num('op')] ?? `op ${layer.num('op')}`;
        protocol = 'ARP';
        break;
      case 'ip4':
      case 'ip6':
        if (addresses) notes.push(`in ${addresses.join(' > ')}`);
        addresses = [layer.value('src') as string, layer.value('dst') as string];
        [from, to] = addresses;
        protocol = ipName(layer, layer.name === 'ip4' ? 'proto' : 'next');
        if (layer.name === 'ip4') noteFragment(layer, (layer.num('flags') & 1) !== 0, notes);
        break;
      case 'hopopts':
      case 'routing':
      case 'dstopts':
        protocol = ipName(layer, 'next');
        break;
      case 'fragment':
        protocol = ipName(layer, 'next');
        noteFragment(layer, layer.num('mf') !== 0, notes);
        break;
      case 'tcp':
      case 'udp':
        from = withPort(from, layer.num('sport'));
        to = withPort(to, layer.num('dport'));
        protocol = layer.header.title;
        if (layer.name === 'tcp') info = formatFlags(layer.header.byName.get('flags')!.flags!, layer.num('flags'));
        break;
      case 'icmp':
      case 'icmp6': {
        const type = layer.num('type');
        info = (layer.name === 'icmp' ? ICMP_TYPES : ICMP6_TYPES)[type] ?? `type ${type}`;
        protocol = layer.header.title;
        break;
      }
      case 'gre':
        notes.push(layer.value('key') === undefined ? 'gre' : `gre key ${layer.value('key')}`);
        break;
      case 'vxlan':
      case 'geneve':
        notes.push(`${layer.name} ${layer.num('vni')}`);
        info = '';
        break;
      case 'mpls':
        notes.push(`mpls ${layer.num('label')}`);
        break;
    }
  }
  const first = dissection.problems[0];
  if (first) notes.push(`${dissection.truncated ? 'cut' : 'malformed'}: ${first.text}`);
  return { from, to, protocol, info, length: dissection.bytes.length, originalLength, notes };
}

const etherName = (layer: Layer) => {
  const type = layer.num('type');
  if (type < 0x600) return '802.3';
  return protocolName('ethertype', type) ?? `0x${type.toString(16).padStart(4, '0')}`;
};

const ipName = (layer: Layer, field: string) =>
  protocolName('ipproto', layer.num(field)) ?? `protocol ${layer.num(field)}`;

const withPort = (address: string, port: number) =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

function noteFragment(layer: Layer, more: boolean, notes: string[]): void {
  const offset = layer.num('frag') * 8;
  if (offset || more) notes.push(`fragment at ${offset}${more ? '' : ', last'}`);
}

/**
 * One line about a packet, in columns:
 *
 * ```
 * 10.0.0.1:4001 > 10.0.0.9:22    TCP S   74B
 * ```
 */
export function summarize(bytes: Uint8Array, options: { linkType?: number; originalLength?: number } = {}): string {
  return formatSummary(summaryOf(dissect(bytes, options), options.originalLength));
}

/** A summary as one line. */
export function formatSummary({ from, to, protocol, info, length, originalLength, notes }: PacketSummary): string {
  const size = length === originalLength ? `${length}B` : `${length}B of ${originalLength}B`;
  const line = `${`${from} > ${to}`.padEnd(30)} ${[protocol, info].filter(Boolean).join(' ').padEnd(7)} ${size}`;
  return notes.length ? `${line}  ${notes.join(', ')}` : line;
}
