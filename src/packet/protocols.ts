import type { Layer } from './layer.ts';

/** Bytes of an Ethernet header. kernel: ETH_HLEN */
export const ETH_HLEN = 14;

/** Ethernet types; `header` names the table that reads it. */
export const ETHERTYPES = [
  { value: 0x0800, name: 'IPv4', header: 'ip4' },
  { value: 0x86dd, name: 'IPv6', header: 'ip6' },
  { value: 0x0806, name: 'ARP', header: 'arp' },
  { value: 0x8100, name: '802.1Q', header: 'vlan' },
  { value: 0x88a8, name: '802.1ad', header: 'vlan' },
  { value: 0x9100, name: 'QinQ', header: 'vlan' },
  { value: 0x8847, name: 'MPLS', header: 'mpls' },
  { value: 0x8848, name: 'MPLS multicast', header: 'mpls' },
  { value: 0x6558, name: 'Ethernet', header: 'eth' },
  { value: 0x8035, name: 'RARP', header: 'arp' },
  { value: 0x8863, name: 'PPPoE discovery' },
  { value: 0x8864, name: 'PPPoE' },
  { value: 0x888e, name: '802.1X' },
  { value: 0x88cc, name: 'LLDP' },
  { value: 0x88e5, name: 'MACsec' },
  { value: 0x88f7, name: 'PTP' },
] as const satisfies readonly ProtocolRow[];

/** IP protocol numbers. */
export const IP_PROTOCOLS = [
  { value: 6, name: 'TCP', header: 'tcp' },
  { value: 17, name: 'UDP', header: 'udp' },
  { value: 1, name: 'ICMP', header: 'icmp' },
  { value: 58, name: 'ICMPv6', header: 'icmp6' },
  { value: 4, name: 'IPIP', header: 'ip4' },
  { value: 41, name: 'IPv6', header: 'ip6' },
  { value: 47, name: 'GRE', header: 'gre' },
  { value: 0, name: 'hop-by-hop options', header: 'hopopts' },
  { value: 43, name: 'routing', header: 'routing' },
  { value: 44, name: 'fragment', header: 'fragment' },
  { value: 60, name: 'destination options', header: 'dstopts' },
  { value: 137, name: 'MPLS', header: 'mpls' },
  { value: 143, name: 'Ethernet', header: 'eth' },
  { value: 2, name: 'IGMP' },
  { value: 50, name: 'ESP' },
  { value: 51, name: 'AH' },
  { value: 59, name: 'no next header' },
  { value: 89, name: 'OSPF' },
  { value: 103, name: 'PIM' },
  { value: 112, name: 'VRRP' },
  { value: 132, name: 'SCTP' },
  { value: 136, name: 'UDP-Lite' },
] as const satisfies readonly ProtocolRow[];

/** UDP destination ports that carry a header of ours. */
export const UDP_PORTS = [
  { value: 4789, name: 'VXLAN', header: 'vxlan' },
  { value: 8472, name: 'VXLAN (Linux)', header: 'vxlan' },
  { value: 6081, name: 'Geneve', header: 'geneve' },
  { value: 6635, name: 'MPLS in UDP', header: 'mpls' },
] as const satisfies readonly ProtocolRow[];

/** Link types of captures (LINKTYPE_*). */
export const LINK_TYPES = [
  { value: 1, name: 'EN10MB', header: 'eth' },
  { value: 101, name: 'RAW', header: 'ip' },
  { value: 12, name: 'RAW', header: 'ip' },
  { value: 14, name: 'RAW', header: 'ip' },
  { value: 228, name: 'IPV4', header: 'ip4' },
  { value: 229, name: 'IPV6', header: 'ip6' },
  { value: 0, name: 'NULL' },
  { value: 105, name: 'IEEE802_11' },
  { value: 113, name: 'LINUX_SLL' },
  { value: 276, name: 'LINUX_SLL2' },
] as const satisfies readonly ProtocolRow[];

export interface ProtocolRow {
  readonly value: number;
  readonly name: string;
  readonly header?: string;
}

const spaces = { ethertype: ETHERTYPES, ipproto: IP_PROTOCOLS, udpport: UDP_PORTS, linktype: LINK_TYPES };
export type ProtocolSpace = keyof typeof spaces;

const byValue = Object.fromEntries(
  Object.entries(spaces).map(([space, rows]) => [space, new Map<number, ProtocolRow>(rows.map((r) => [r.value, r]))]),
) as Record<ProtocolSpace, Map<number, ProtocolRow>>;

/** The header that a protocol number announces, if there is a table for it. */
export function headerFor(space: ProtocolSpace, value: number): string | undefined {
  return byValue[space].get(value)?.header;
}

/** `ICMPv6`, or undefined for a number without a row. */
export function protocolName(space: ProtocolSpace, value: number): string | undefined {
  return byValue[space].get(value)?.name;
}

/** Number that announces `header`; the first row wins. */
export function numberFor(space: ProtocolSpace, header: string): number | undefined {
  return (spaces[space] as readonly ProtocolRow[]).find((row) => row.header === header)?.value;
}

/** RFC 3692-style experimental numbers, for payloads of no protocol. */
const EXPERIMENTAL_IP_PROTOCOL = 253;
const EXPERIMENTAL_ETHERTYPE = 0x88b5;
const NO_NEXT_HEADER = 59;

/** The Ethernet type that announces the layer behind; an outer tag of two is a service tag (802.1ad). */
export function nextEthertype(layer: Layer): number {
  const next = layer.next;
  if (next?.name === 'vlan' && next.next?.name === 'vlan') return 0x88a8;
  return (next && numberFor('ethertype', next.name)) ?? EXPERIMENTAL_ETHERTYPE;
}

/** The IP protocol number that announces the layer behind. */
export function nextIpProtocol(layer: Layer): number {
  const next = layer.next;
  return next ? (numberFor('ipproto', next.name) ?? EXPERIMENTAL_IP_PROTOCOL) : NO_NEXT_HEADER;
}
