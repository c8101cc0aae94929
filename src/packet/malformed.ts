import { PacketError } from '../base/error.ts';
import type { Rng } from '../base/rng.ts';
import { eth, type PacketBuilder } from './builder.ts';
import { dissect } from './dissect.ts';
import { pattern } from './traffic.ts';

const base = (rng: Rng) => eth().ip4({ id: rng.below(0x10000) });
const udp = (rng: Rng) =>
  base(rng)
    .udp({ sport: 1024 + rng.below(1000), dport: 53 })
    .payload(pattern(20));
const tcp = (rng: Rng) =>
  base(rng)
    .tcp({ sport: 1024 + rng.below(1000), dport: 80, flags: 'PA' })
    .payload(pattern(20));
const cut = (builder: PacketBuilder, rng: Rng, from: number, to: number) =>
  builder.build().subarray(0, from + rng.below(to - from));

/** Ways to break a packet; each row makes one. */
export const MALFORMED = [
  { name: 'nothing but a part of an Ethernet header', make: (rng: Rng) => cut(udp(rng), rng, 1, 14) },
  { name: 'IPv4 header cut', make: (rng: Rng) => cut(udp(rng), rng, 14, 34) },
  { name: 'UDP header cut', make: (rng: Rng) => cut(udp(rng), rng, 34, 42) },
  { name: 'TCP header cut', make: (rng: Rng) => cut(tcp(rng), rng, 34, 54) },
  { name: 'VLAN tag cut', make: (rng: Rng) => cut(eth().vlan().ip4().udp(), rng, 14, 18) },
  { name: 'IPv6 header cut', make: (rng: Rng) => cut(eth().ip6().udp(), rng, 14, 54) },
  {
    name: 'IPv4 total length beyond the frame',
    make: (rng: Rng) =>
      eth()
        .ip4({ len: 100 + rng.below(1000) })
        .udp(),
  },
  {
    name: 'IPv4 total length below the header',
    make: (rng: Rng) =>
      eth()
        .ip4({ len: 1 + rng.below(19) })
        .udp(),
  },
  { name: 'IPv4 total length zero', make: () => eth().ip4({ len: 0 }).udp().payload('x') },
  {
    name: 'IPv4 header length below 20',
    make: (rng: Rng) =>
      eth()
        .ip4({ ihl: rng.below(5) })
        .udp(),
  },
  { name: 'IPv4 header length beyond the frame', make: () => eth().ip4({ ihl: 15 }).udp() },
  {
    name: 'wrong version in IPv4',
    make: (rng: Rng) =>
      eth()
        .ip4({ version: [0, 5, 6, 15][rng.below(4)]! })
        .udp(),
  },
  { name: 'wrong version in IPv6', make: () => eth().ip6({ version: 4 }).udp() },
  {
    name: 'IPv6 payload length beyond the frame',
    make: (rng: Rng) =>
      eth()
        .ip6({ plen: 100 + rng.below(999) })
        .udp(),
  },
  {
    name: 'IPv4 checksum',
    make: (rng: Rng) =>
      eth()
        .ip4({ checksum: 1 + rng.below(0x1000) })
        .udp()
        .payload('bad'),
  },
  {
    name: 'UDP checksum',
    make: (rng: Rng) =>
      base(rng)
        .udp({ checksum: 1 + rng.below(0x1000) })
        .payload('bad'),
  },
  { name: 'TCP checksum', make: (rng: Rng) => base(rng).tcp({ checksum: 1 + rng.below(0x1000) }) },
  {
    name: 'UDP length below 8',
    make: (rng: Rng) =>
      base(rng)
        .udp({ len: 1 + rng.below(7) })
        .payload('x'),
  },
  { name: 'UDP length beyond the packet', make: (rng: Rng) => base(rng).udp({ len: 100 + rng.below(1000) }) },
  { name: 'TCP header length below 20', make: (rng: Rng) => base(rng).tcp({ doff: rng.below(5) }) },
  { name: 'TCP header length beyond the packet', make: (rng: Rng) => base(rng).tcp({ doff: 15 }) },
  {
    name: 'TCP option that reaches beyond the header',
    make: (rng: Rng) => base(rng).tcp({ options: Uint8Array.of(2, 8, 5, 180) }),
  },
  { name: 'TCP option of length zero', make: (rng: Rng) => base(rng).tcp({ options: Uint8Array.of(8, 0, 1, 1) }) },
  {
    name: 'IPv4 option that overlaps the payload',
    make: () =>
      eth()
        .ip4({ options: Uint8Array.of(7, 39, 4, 0) })
        .udp(),
  },
  {
    name: 'extension header beyond the frame',
    make: () =>
      eth()
        .ip6({ next: 0 })
        .add('payload', { data: Uint8Array.of(17, 30, 1, 4, 0, 0, 0, 0) }),
  },
  {
    name: 'first fragment too small for TCP',
    make: (rng: Rng) =>
      eth()
        .ip4({ flags: 'MF', proto: 6 })
        .add('payload', { data: tcp(rng).build().subarray(34, 42) }),
  },
  {
    name: 'overlapping fragments',
    make: (rng: Rng) =>
      eth()
        .ip4({ flags: 'MF', frag: 1, proto: 17, id: rng.below(9) })
        .payload(pattern(32)),
  },
  { name: 'fragment that ends beyond 65535', make: () => eth().ip4({ frag: 8191, proto: 17 }).payload(pattern(64)) },
  { name: 'VXLAN without the flag for its VNI', make: () => eth().ip4().vxlan({ flags: 0 }).eth().ip4().udp() },
  { name: 'GRE version 1', make: () => eth().ip4().gre({ version: 1 }).payload(pattern(16)) },
  { name: 'Geneve options beyond the frame', make: () => eth().ip4().geneve({ optlen: 63 }) },
  { name: 'ARP with addresses of length zero', make: () => eth().arp({ hwlen: 0, plen: 0 }) },
] as const satisfies readonly { name: string; make: (rng: Rng) => PacketBuilder | Uint8Array }[];

/** Broken packets, one after the other through the ways to break them, without end or `count` of them. */
export function* malformedPackets(rng: Rng, count = Number.POSITIVE_INFINITY): Generator<Uint8Array> {
  for (let i = 0; i < count; i++) {
    const made = MALFORMED[i % MALFORMED.length]!.make(rng);
    yield made instanceof Uint8Array ? made : made.build();
  }
}

/** The packet with `flips` random bits turned. */
export function bitFlipped(bytes: Uint8Array, rng: Rng, flips = 1): Uint8Array {
  const copy = bytes.slice();
  for (let i = 0; i < flips && copy.length > 0; i++) {
    const bit = rng.below(copy.length * 8);
    copy[bit >> 3]! ^= 1 << (bit & 7);
  }
  return copy;
}

/**
 * The IPv4 fragments of a packet, for links that carry `mtu` bytes of IP.
 * @throws PacketError when it has no IPv4 header, or the mtu has no room for 8 bytes of data.
 */
export function fragmentIp4(bytes: Uint8Array, mtu: number): Uint8Array[] {
  const { layers } = dissect(bytes);
  const ip = layers.find((layer) => layer.name === 'ip4');
  const room = ip ? Math.floor((mtu - ip.length) / 8) * 8 : 0;
  if (!ip || room <= 0)
    throw new PacketError(`no fragments of ${mtu} bytes`, { hint: 'it takes an IPv4 packet and an mtu of 28 or more' });
  const start = ip.offset + ip.length;
  const fragments: Uint8Array[] = [];
  for (let at = start; at < ip.end; at += room) {
    const data = bytes.subarray(at, Math.min(at + room, ip.end));
    const last = at + room >= ip.end;
    const fields = { ...ip.fields(), len: undefined, checksum: undefined };
    const link = bytes.subarray(0, ip.offset);
    const fragment = eth()
      .ip4({ ...fields, flags: last ? 0 : 'MF', frag: (at - start) / 8 })
      .payload(data)
      .build()
      .subarray(14);
    fragments.push(Uint8Array.of(...link, ...fragment));
  }
  return fragments;
}
