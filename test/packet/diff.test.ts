import { describe, expect, test } from 'vitest';
import { eth, type PacketBuilder } from '../../src/packet/builder.ts';
import { diffPackets, formatDiff } from '../../src/packet/diff.ts';

const l2 = { src: '02:00:00:00:00:aa', dst: '02:00:00:00:00:01' };
const l3 = { src: '192.0.2.1', dst: '192.0.2.2' };
const before = eth(l2).ip4(l3).udp({ sport: 7, dport: 53 }).payload('hello');
const tcp = eth(l2).ip4(l3).tcp({ sport: 7, dport: 80 }).payload('hello');

/** The packet with some bytes overwritten, and nothing else updated. */
function poke(builder: PacketBuilder, at: number, ...bytes: number[]): Uint8Array {
  const packet = builder.build();
  packet.set(bytes, at);
  return packet;
}

describe('the diff of a packet', () => {
  const cases: [string, PacketBuilder | Uint8Array, PacketBuilder | Uint8Array, string][] = [
    ['nothing changed', before, before, ''],
    [
      'routed: checksum follows, and is not told',
      before,
      eth({ ...l2, dst: '02:00:00:00:00:09' })
        .ip4({ ...l3, ttl: 63 })
        .udp({ sport: 7, dport: 53 })
        .payload('hello'),
      'dst mac 02:..:01 -> 02:..:09, ttl 64 -> 63',
    ],
    [
      'MAC that differs in the middle is told whole',
      before,
      eth({ ...l2, dst: '02:00:00:07:00:01' })
        .ip4(l3)
        .udp({ sport: 7, dport: 53 })
        .payload('hello'),
      'dst mac 02:00:00:00:00:01 -> 02:00:00:07:00:01',
    ],
    [
      'ttl without its checksum',
      before,
      poke(before, 22, 63),
      `ttl 64 -> 63, ip4 checksum stale (0xf6c8, should be 0xf7c8)`,
    ],
    ['VLAN push', before, eth(l2).vlan({ id: 100 }).ip4(l3).udp({ sport: 7, dport: 53 }).payload('hello'), '+vlan 100'],
    ['VLAN pop', eth(l2).vlan({ id: 100 }).ip4(l3).udp({ sport: 7, dport: 53 }).payload('hello'), before, '-vlan 100'],
    ['VLAN change', eth(l2).vlan({ id: 100 }).ip4(l3), eth(l2).vlan({ id: 7 }).ip4(l3), 'vlan id 100 -> 7'],
    [
      'IPIP: the new header is the outer one',
      before,
      eth(l2).ip4({ src: '10.0.0.1', dst: '10.0.0.2' }).ip4(l3).udp({ sport: 7, dport: 53 }).payload('hello'),
      '+ip4 10.0.0.1 > 10.0.0.2',
    ],
    [
      'decapsulation',
      eth(l2).ip4({ src: '10.0.0.1', dst: '10.0.0.2' }).ip4(l3).udp({ sport: 7, dport: 53 }).payload('hello'),
      before,
      '-ip4 10.0.0.1 > 10.0.0.2',
    ],
    [
      'VXLAN',
      before,
      eth(l2)
        .ip4({ src: '10.0.0.1', dst: '10.0.0.2' })
        .udp({ sport: 1, dport: 4789 })
        .vxlan({ vni: 42 })
        .eth(l2)
        .ip4(l3)
        .udp({ sport: 7, dport: 53 })
        .payload('hello'),
      '+ip4 10.0.0.1 > 10.0.0.2, +udp 1 > 4789, +vxlan vni 42, +eth 02:00:00:00:00:aa > 02:00:00:00:00:01',
    ],
    [
      'NAT',
      tcp,
      eth(l2)
        .ip4({ ...l3, src: '203.0.113.1' })
        .tcp({ sport: 999, dport: 80 })
        .payload('hello'),
      'src ip 192.0.2.1 -> 203.0.113.1, sport 7 -> 999',
    ],
    [
      'one byte of payload',
      tcp,
      poke(tcp, 54, 0x48),
      'byte 54 68 -> 48, tcp checksum stale (0xe7b0, should be 0x07b1)',
    ],
    ['TCP flags by name', eth(l2).ip4(l3).tcp(), eth(l2).ip4(l3).tcp({ flags: 'SA' }), 'tcp flags S -> SA'],
    [
      'TCP options',
      eth(l2)
        .ip4(l3)
        .tcp({ options: [{ name: 'mss', value: 1460 }] }),
      eth(l2)
        .ip4(l3)
        .tcp({ options: [{ name: 'mss', value: 1400 }] }),
      'tcp options (mss 1460) -> (mss 1400)',
    ],
    [
      'tail cut, lengths forgotten',
      before,
      before.build().subarray(0, 44),
      'ip4 len stale (33, should be 30), udp len stale (13, should be 10), payload 5 -> 2 bytes',
    ],
    [
      'an ethertype that nobody reads leaves the rest alone',
      before,
      poke(before, 12, 0x12, 0x34),
      'ethertype 0x0800 -> 0x1234',
    ],
    [
      'bytes that are no headers',
      Uint8Array.of(1, 2, 3, 4, 5, 6),
      Uint8Array.of(1, 9, 3, 9, 5, 6),
      'bytes 1-3 020304 -> 090309',
    ],
    [
      'inner header of two',
      eth(l2).ip4(l3).ip4({ ttl: 9 }).udp(),
      eth(l2).ip4(l3).ip4({ ttl: 8 }).udp(),
      'inner ip4 ttl 9 -> 8',
    ],
    [
      'a written checksum that is wrong',
      before,
      poke(before, 24, 0, 1),
      'ip4 checksum 0xf6c8 -> 0x0001, ip4 checksum wrong (0x0001, should be 0xf6c8)',
    ],
    [
      'a checksum that was wrong before is no news',
      poke(before, 24, 0, 1),
      poke(before, 22, 63, 17, 0, 1),
      'ttl 64 -> 63',
    ],
    ['tail cut into a header', before, before.build().subarray(0, 20), 'last 27 of 47 bytes cut'],
    ['head cut, as many bytes as Ethernet has', before, before.build().subarray(14), 'first 14 of 47 bytes cut'],
    ['head grown, nothing written', before, Uint8Array.of(9, 9, 9, 9, ...before.build()), '4 bytes added in front'],
    [
      'decapsulation that leaves a whole packet',
      eth(l2)
        .ip4({ src: '10.0.0.1', dst: '10.0.0.2' })
        .vxlan({ vni: 42 })
        .eth(l2)
        .ip4(l3)
        .udp({ sport: 7, dport: 53 })
        .payload('hello'),
      before,
      '-ip4 10.0.0.1 > 10.0.0.2, -udp 1024 > 4789, -vxlan vni 42, -eth 02:00:00:00:00:aa > 02:00:00:00:00:01',
    ],
    ['padding', before, before.padding(3), '+padding 3 bytes'],
  ];

  test.each(cases)('%s', (_, a, b, text) => {
    const bytes = (packet: PacketBuilder | Uint8Array) => (packet instanceof Uint8Array ? packet : packet.build());
    expect(formatDiff(diffPackets(bytes(a), bytes(b)))).toBe(text);
  });

  test('as data, it has the derived fields too', () => {
    const after = eth(l2)
      .ip4({ ...l3, ttl: 63 })
      .udp({ sport: 7, dport: 53 })
      .payload('hello')
      .build();
    expect(diffPackets(before.build(), after)).toEqual([
      { kind: 'field', layer: 'ip4', field: 'ttl', before: 64, after: 63, derived: false, text: 'ttl 64 -> 63' },
      {
        kind: 'field',
        layer: 'ip4',
        field: 'checksum',
        before: 0xf6c8,
        after: 0xf7c8,
        derived: true,
        text: 'ip4 checksum 0xf6c8 -> 0xf7c8',
      },
    ]);
  });
});
