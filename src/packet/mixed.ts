import type { Rng } from '../base/rng.ts';
import { eth, type PacketBuilder } from './builder.ts';
import type { PacketRecord } from './capture-writer.ts';
import { fragmentIp4, malformedPackets } from './malformed.ts';
import { pattern, tcpFlows } from './traffic.ts';

/** 2026-01-01 00:00:00 UTC. */
const START = 1_767_225_600;

const A = '02:00:00:00:00:01';
const B = '02:00:00:00:00:02';
const there = () => eth({ src: A, dst: B });
const back = () => eth({ src: B, dst: A });
const client = { src: '10.0.0.1', dst: '10.0.0.9' };
const server = { src: '10.0.0.9', dst: '10.0.0.1' };
const client6 = { src: 'fd00::1', dst: 'fd00::9' };
const server6 = { src: 'fd00::9', dst: 'fd00::1' };
const echo = pattern(48);
/** A DNS question for the address of example.com. */
const query = Uint8Array.of(
  ...[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0],
  ...new TextEncoder().encode('\x07example\x03com\0'),
  ...[0, 1, 0, 1],
);
const answer = Uint8Array.of(
  0x12,
  0x34,
  0x81,
  0x80,
  0,
  1,
  0,
  1,
  ...query.subarray(6),
  0xc0,
  12,
  0,
  1,
  0,
  1,
  0,
  0,
  14,
  16,
  0,
  4,
  192,
  0,
  2,
  80,
);
const SYN_OPTIONS = [
  { name: 'mss', value: 1460 },
  { name: 'sackok' },
  { name: 'timestamp', value: [1000, 0] },
  { name: 'nop' },
  { name: 'wscale', value: 7 },
];

function* arp(): Generator<PacketBuilder> {
  const ask = { sha: A, spa: '10.0.0.1', tpa: '10.0.0.9' };
  yield eth({ src: A, dst: 'ff:ff:ff:ff:ff:ff' }).arp(ask).padTo(60);
  yield back().arp({ op: 2, sha: B, spa: '10.0.0.9', tha: A, tpa: '10.0.0.1' }).padTo(60);
  yield eth({ src: A, dst: 'ff:ff:ff:ff:ff:ff' })
    .arp({ ...ask, tpa: '10.0.0.1' })
    .padTo(60);
}

function* icmp(rng: Rng): Generator<PacketBuilder> {
  for (let seq = 1; seq <= 4; seq++) {
    yield there()
      .ip4({ ...client, id: rng.below(0x10000), flags: 'DF' })
      .icmp({ id: 77, seq })
      .payload(echo);
    yield back()
      .ip4({ ...server, id: rng.below(0x10000) })
      .icmp({ type: 0, id: 77, seq })
      .payload(echo);
  }
  const quoted = (builder: PacketBuilder) =>
    builder
      .ip4({ ...server, ttl: 1 })
      .udp({ sport: 53, dport: 4000 })
      .payload('late');
  yield quoted(there().ip4(client).icmp({ type: 3, code: 3 }));
  yield quoted(there().ip4(client).icmp({ type: 3, code: 4, mtu: 1400 }));
  yield quoted(there().ip4(client).icmp({ type: 11 }));
  yield quoted(there().ip4(client).icmp({ type: 5, code: 1, gateway: '10.0.0.254' }));
}

function* icmp6(): Generator<PacketBuilder> {
  const solicited = eth({ src: A, dst: '33:33:ff:00:00:09' }).ip6({ src: 'fd00::1', dst: 'ff02::1:ff00:9', hlim: 255 });
  yield solicited.icmp6({ type: 135, target: 'fd00::9', options: [{ name: 'slla', value: A }] });
  yield back()
    .ip6({ ...server6, hlim: 255 })
    .icmp6({ type: 136, naflags: 'SO', target: 'fd00::9', options: [{ name: 'tlla', value: B }] });
  const all = eth({ src: A, dst: '33:33:00:00:00:02' }).ip6({ src: 'fe80::1', dst: 'ff02::2', hlim: 255 });
  yield all.icmp6({ type: 133, options: [{ name: 'slla', value: A }] });
  yield eth({ src: B, dst: '33:33:00:00:00:01' })
    .ip6({ src: 'fe80::9', dst: 'ff02::1', hlim: 255 })
    .icmp6({ type: 134, hlim: 64, options: [{ name: 'slla', value: B }] });
  for (let seq = 1; seq <= 3; seq++) {
    yield there().ip6(client6).icmp6({ id: 78, seq }).payload(echo);
    yield back().ip6(server6).icmp6({ type: 129, id: 78, seq }).payload(echo);
  }
  yield there().ip6(client6).icmp6({ type: 2, mtu: 1280 }).ip6(server6).udp({ sport: 53, dport: 4000 }).payload('big');
  yield there()
    .ip6(client6)
    .icmp6({ type: 1, code: 4 })
    .ip6(server6)
    .udp({ sport: 53, dport: 4000 })
    .payload('no port');
}

function* udp(rng: Rng): Generator<PacketBuilder> {
  for (let i = 0; i < 4; i++) {
    const sport = 40_000 + rng.below(10_000);
    yield there()
      .ip4({ ...client, id: rng.below(0x10000) })
      .udp({ sport, dport: 53 })
      .payload(query);
    yield back()
      .ip4({ ...server, id: rng.below(0x10000) })
      .udp({ sport: 53, dport: sport })
      .payload(answer);
    yield there().ip6(client6).udp({ sport, dport: 53 }).payload(query);
  }
  yield there().ip4(client).udp({ sport: 5000, dport: 5001, checksum: 0 }).payload('no checksum');
  yield there()
    .ip4({ ...client, dscp: 46, ecn: 1 })
    .udp({ sport: 5000, dport: 5004 })
    .payload(pattern(160));
  yield there().ip4(client).udp({ sport: 5000, dport: 9 }).padTo(60);
  yield there().ip4(client).udp({ sport: 5000, dport: 4500 }).payload(pattern(1472));
  yield eth({ src: A, dst: '01:00:5e:00:00:fb' })
    .ip4({ src: '10.0.0.1', dst: '224.0.0.251', ttl: 255 })
    .udp({ sport: 5353, dport: 5353 })
    .payload(query);
}

function* tcp(rng: Rng): Generator<PacketBuilder> {
  for (const dport of [22, 25, 443, 8080]) {
    const sport = 50_000 + rng.below(10_000);
    yield there().ip4(client).tcp({ sport, dport, seq: rng.u32(), options: SYN_OPTIONS });
    yield back().ip4(server).tcp({ sport: dport, dport: sport, seq: 0, flags: 'RA' });
    yield there().ip6(client6).tcp({ sport, dport, seq: rng.u32(), options: SYN_OPTIONS });
  }
  const sack = [{ name: 'nop' }, { name: 'nop' }, { name: 'sack', value: [2000, 3000] }];
  yield there().ip4(client).tcp({ sport: 50_001, dport: 80, seq: 1, ack: 1000, flags: 'A', options: sack });
  yield there().ip4(client).tcp({ sport: 50_001, dport: 80, seq: 1, ack: 1, flags: 'FPU', urgptr: 3 });
  yield there().ip4(client).tcp({ sport: 50_001, dport: 80, seq: 1, ack: 1, flags: 0 });
  yield there().ip4(client).tcp({ sport: 50_001, dport: 80, seq: 1, ack: 1, flags: 'SEC' });
}

function* tagged(): Generator<PacketBuilder> {
  for (const id of [1, 100, 4094]) {
    yield there()
      .vlan({ id, pcp: id % 8 })
      .ip4(client)
      .udp({ sport: 6000, dport: 6001 })
      .payload('tagged')
      .padTo(60);
    yield there().vlan({ id }).ip6(client6).tcp({ sport: 6000, dport: 443 });
  }
  yield there().vlan({ id: 10 }).vlan({ id: 20 }).ip4(client).tcp({ sport: 6000, dport: 80, options: SYN_OPTIONS });
  yield there().vlan({ id: 10 }).vlan({ id: 20 }).ip6(client6).udp({ sport: 6000, dport: 53 }).payload('qinq');
  yield there().vlan({ id: 100 }).arp({ spa: '10.0.0.1', tpa: '10.0.0.9' }).padTo(60);
}

function* tunnels(): Generator<PacketBuilder> {
  const outer = { src: '192.0.2.1', dst: '192.0.2.2' };
  const outer6 = { src: '2001:db8::1', dst: '2001:db8::2' };
  const inner = (builder: PacketBuilder) => builder.ip4(client).tcp({ sport: 7000, dport: 80, options: SYN_OPTIONS });
  const inner6 = (builder: PacketBuilder) => builder.ip6(client6).udp({ sport: 7000, dport: 53 }).payload('inner');
  yield inner(there().ip4(outer));
  yield inner6(there().ip4(outer));
  yield inner(there().ip6(outer6));
  yield inner6(there().ip6(outer6));
  yield inner(there().ip4(outer).gre());
  yield inner(there().ip4(outer).gre({ key: 42, seq: 1 }));
  yield inner6(there().ip4(outer).gre({ c: 1, key: 42, seq: 2 }));
  yield inner(there().ip6(outer6).gre().eth({ src: A, dst: B }));
  yield inner(
    there().ip4(outer).udp({ sport: 49_152, dport: 4789, checksum: 0 }).vxlan({ vni: 42 }).eth({ src: A, dst: B }),
  );
  yield inner6(
    there().ip6(outer6).udp({ sport: 49_153, dport: 4789 }).vxlan({ vni: 0xabcdef }).eth({ src: A, dst: B }),
  );
  yield inner(there().ip4(outer).udp({ sport: 49_154, dport: 6081 }).geneve({ vni: 7 }).eth({ src: A, dst: B }));
  yield inner6(
    there()
      .ip4(outer)
      .udp({ sport: 49_155, dport: 6081 })
      .geneve({ vni: 8, c: 1, options: [{ class: 0x102, kind: 0x80, data: pattern(8) }] })
      .eth({ src: A, dst: B }),
  );
  yield inner(there().mpls({ label: 100, ttl: 63 }));
  yield inner6(there().mpls({ label: 100, tc: 5 }).mpls({ label: 200 }));
}

function* extended(): Generator<PacketBuilder> {
  yield there()
    .ip4({ ...client, options: [{ name: 'router-alert', value: 0 }] })
    .udp({ sport: 8000, dport: 53 })
    .payload('alert');
  yield there()
    .ip4({ ...client, options: [{ name: 'rr', data: pattern(37).fill(0).fill(4, 0, 1) }] })
    .icmp({ id: 79, seq: 1 })
    .payload(echo);
  yield there()
    .ip6(client6)
    .hopopts({ options: [{ name: 'router-alert', value: 0 }] })
    .icmp6({ type: 128, id: 1 });
  yield there().ip6(client6).dstopts({ options: [] }).udp({ sport: 8000, dport: 53 }).payload('dest');
  yield there()
    .ip6({ ...client6, dst: 'fd00::8' })
    .routing({ type: 0, segleft: 1, data: Uint8Array.of(0, 0, 0, 0, 0xfd, ...new Uint8Array(14), 9) })
    .udp({ sport: 8000, dport: 53 })
    .payload('routed');
  yield there().ip6(client6).hopopts({ options: [] }).dstopts({ options: [] }).tcp({ sport: 8000, dport: 22 });
  yield there()
    .ip6(client6)
    .fragment({ id: 0xbeef, mf: 1 })
    .udp({ sport: 8000, dport: 53, len: 64 })
    .payload(pattern(24));
  yield there()
    .ip6({ ...client6 })
    .fragment({ id: 0xbeef, frag: 4, next: 17 })
    .payload(pattern(24));
  yield there()
    .ip6({ ...client6, flow: 0xabcde, dscp: 10 })
    .add('ip6', { ...client6, next: 59 });
  yield eth({ src: A, dst: '01:80:c2:00:00:0e', type: 0x88cc }).payload(pattern(46));
  yield eth({ src: A, dst: '01:80:c2:00:00:00', type: 38 }).payload(
    Uint8Array.of(0x42, 0x42, 3, ...new Uint8Array(43)),
  );
  yield there()
    .ip4({ ...client, proto: 132 })
    .payload(pattern(28));
  yield there()
    .ip4({ ...client, proto: 50 })
    .payload(pattern(40));
}

/**
 * A capture with a little of everything: ARP, ICMP, TCP, UDP over IPv4 and IPv6, tags, tunnels, options, fragments,
 * and broken packets; about 200 packets, as many ways in which a parser can go wrong. Same rng, same packets.
 */
export function* mixedPackets(rng: Rng): Generator<PacketRecord> {
  const builders = [arp(), icmp(rng), icmp6(), udp(rng), tcp(rng), tagged(), tunnels(), extended()];
  const big = there()
    .ip4({ ...client, id: 4711 })
    .udp({ sport: 9000, dport: 9001 })
    .payload(pattern(3000))
    .build();
  const packets = [
    ...builders.flatMap((group) => [...group].map((builder) => builder.build())),
    ...tcpFlows({ flows: 4, packets: 2, size: 594, ...client, srcMac: A, dstMac: B, dport: 80 }),
    ...tcpFlows({ flows: 1, packets: 2, size: 1518, ...client6, ipVersion: 6, srcMac: A, dstMac: B, dport: 443 }),
    ...fragmentIp4(big, 1500),
    ...malformedPackets(rng, 48),
  ];
  let nanos = 0;
  for (const data of packets) {
    yield { seconds: START + Math.floor(nanos / 1e9), nanos: nanos % 1e9, data };
    nanos += 1000 * (10 + rng.below(50_000));
  }
}

/** A dozen packets on 10.0.0.0/24 that a firewall tells apart. */
export function* synPackets(): Generator<PacketRecord> {
  const packets = [
    there().ip4(client).tcp({ sport: 4001, dport: 22, options: SYN_OPTIONS }),
    there().ip4(client).tcp({ sport: 4002, dport: 443, options: SYN_OPTIONS }),
    back().ip4(server).tcp({ sport: 443, dport: 4002, seq: 9000, ack: 1, flags: 'SA', options: SYN_OPTIONS }),
    there().ip4(client).tcp({ sport: 4002, dport: 443, seq: 1, ack: 9001, flags: 'A' }),
    there()
      .ip4({ ...client, src: '10.0.0.2' })
      .tcp({ sport: 4003, dport: 80, options: SYN_OPTIONS }),
    there()
      .ip4({ ...client, src: '10.0.0.66' })
      .tcp({ sport: 4004, dport: 80, options: SYN_OPTIONS }),
    there().ip4(client).udp({ sport: 4005, dport: 53 }).payload(query),
    back().ip4(server).udp({ sport: 53, dport: 4005 }).payload(answer),
    there()
      .ip4({ ...client, src: '10.0.0.2' })
      .udp({ sport: 4006, dport: 123 })
      .payload(pattern(48)),
    there().ip4(client).icmp({ id: 1, seq: 1 }).payload(echo),
    back().ip4(server).icmp({ type: 0, id: 1, seq: 1 }).payload(echo),
    eth({ src: A, dst: 'ff:ff:ff:ff:ff:ff' }).arp({ sha: A, spa: '10.0.0.1', tpa: '10.0.0.9' }).padTo(60),
  ];
  for (const [i, builder] of packets.entries()) yield { seconds: START, nanos: i * 1_000_000, data: builder.build() };
}
