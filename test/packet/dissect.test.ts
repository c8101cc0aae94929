import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PacketError } from '../../src/base/error.ts';
import { Rng } from '../../src/base/rng.ts';
import { builderFrom, eth, PacketBuilder, packet } from '../../src/packet/builder.ts';
import { diffPackets, formatDiff } from '../../src/packet/diff.ts';
import { dissect, dissectionData, verifyChecksums } from '../../src/packet/dissect.ts';
import { bitFlipped, fragmentIp4, MALFORMED, malformedPackets } from '../../src/packet/malformed.ts';
import { mixedPackets } from '../../src/packet/mixed.ts';
import { summarize, summaryOf } from '../../src/packet/summary.ts';
import { pattern } from '../../src/packet/traffic.ts';

const mixed = [...mixedPackets(new Rng(1))].map((record) => record.data);

const sameBytes = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

/** Checks what must hold for any bytes whatever. */
function holds(bytes: Uint8Array, linkType: number): void {
  const dissection = dissect(bytes, { linkType });
  let at = 0;
  for (const layer of dissection.layers) {
    if (layer.offset !== at) throw new Error(`${layer.name} at ${layer.offset}, the one before ends at ${at}`);
    at += layer.length;
  }
  expect(at).toBe(bytes.length);
  expect(sameBytes(builderFrom(dissection).build(), bytes)).toBe(true);
  verifyChecksums(dissection);
  dissectionData(dissection);
  expect(summarize(bytes, { linkType })).not.toContain('\n');
}

const linkTypes = fc.constantFrom(1, 101, 228, 229, 113);

describe('dissector and builder are inverse', () => {
  test('for any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), linkTypes, holds), { numRuns: 2000, seed: 1 });
  });

  test('for every packet of the mixed capture, with bits turned and with any length', () => {
    const rng = new Rng(2);
    for (const bytes of mixed) {
      holds(bytes, 1);
      for (let i = 0; i < 10; i++) holds(bitFlipped(bytes.subarray(0, 200), rng, 1 + rng.below(8)), 1);
      for (let i = 0; i < 10; i++) holds(bytes.subarray(0, rng.below(Math.min(bytes.length, 200))), 1);
    }
  });

  const u16 = fc.integer({ min: 0, max: 0xffff });
  const layers = {
    vlan: fc.record({ id: fc.integer({ min: 0, max: 4095 }), pcp: fc.integer({ min: 0, max: 7 }) }),
    ip4: fc.record({ src: fc.ipV4(), dst: fc.ipV4(), ttl: fc.integer({ min: 0, max: 255 }), id: u16 }),
    ip6: fc.record({ src: fc.ipV6(), dst: fc.ipV6(), flow: fc.integer({ min: 0, max: 0xfffff }) }),
    gre: fc.record({ key: fc.option(u16, { nil: undefined }), c: fc.integer({ min: 0, max: 1 }) }),
    vxlan: fc.record({ vni: fc.integer({ min: 0, max: 0xffffff }) }),
    mpls: fc.record({ label: fc.integer({ min: 0, max: 0xfffff }), ttl: fc.integer({ min: 0, max: 255 }) }),
  };
  // Encapsulations that lead from one IP packet to the next.
  const wraps = fc.array(fc.constantFrom('ipip', 'gre', 'gre-eth', 'vxlan', 'geneve'), { maxLength: 3 });
  const stack = fc
    .record({
      tags: fc.array(layers.vlan, { maxLength: 2 }),
      labels: fc.array(layers.mpls, { maxLength: 2 }),
      wraps,
      ips: fc.array(
        fc.oneof(fc.tuple(fc.constant('ip4' as const), layers.ip4), fc.tuple(fc.constant('ip6' as const), layers.ip6)),
        {
          minLength: 4,
          maxLength: 4,
        },
      ),
      gre: layers.gre,
      vxlan: layers.vxlan,
      ports: fc.tuple(u16, fc.integer({ min: 1, max: 4000 })),
      last: fc.constantFrom('tcp', 'udp', 'icmp'),
      payload: fc.uint8Array({ minLength: 1, maxLength: 40 }),
    })
    .map((parts) => {
      let builder = eth();
      for (const tag of parts.tags) builder = builder.vlan(tag);
      for (const label of parts.labels) builder = builder.mpls(label);
      for (const [i, [name, fields]] of parts.ips.entries()) {
        builder = builder.add(name, fields as object);
        const wrap = parts.wraps[i];
        if (wrap === undefined) {
          const [sport, dport] = parts.ports;
          if (parts.last === 'tcp') builder = builder.tcp({ sport, dport, options: [{ name: 'mss', value: 1400 }] });
          else if (parts.last === 'udp') builder = builder.udp({ sport, dport });
          else builder = name === 'ip4' ? builder.icmp({ id: sport }) : builder.icmp6({ id: sport });
          break;
        }
        if (wrap === 'gre') builder = builder.gre(parts.gre);
        if (wrap === 'gre-eth') builder = builder.gre(parts.gre).eth();
        if (wrap === 'vxlan') builder = builder.vxlan(parts.vxlan).eth();
        if (wrap === 'geneve')
          builder = builder.geneve({ vni: 5, options: [{ class: 1, kind: 2, data: pattern(4) }] }).eth();
      }
      return builder.payload(parts.payload);
    });

  test('for any stack of headers: same layers, no problems, right checksums, and computed fields are computed alike', () => {
    fc.assert(
      fc.property(stack, (builder) => {
        const bytes = builder.build();
        const dissection = dissect(bytes);
        expect(dissection.layers.map((layer) => layer.name)).toEqual(builder.layers.map((layer) => layer.header));
        expect(dissection.problems).toEqual([]);
        for (const { layer, state } of verifyChecksums(dissection))
          expect([layer.name, state]).toEqual([layer.name, 'ok']);
        expect(builderFrom(dissection, { recompute: true }).build()).toEqual(bytes);
        for (const [i, spec] of builder.layers.entries()) {
          const fields = dissection.layers[i]!.fields();
          for (const [name, value] of Object.entries(spec.fields)) {
            if (typeof value === 'number') expect(fields[name]).toBe(value);
          }
        }
      }),
      { numRuns: 500, seed: 3 },
    );
  });
});

describe('broken packets', () => {
  const silent = new Set<string>([
    ...['IPv4 total length zero', 'IPv4 checksum', 'UDP checksum', 'TCP checksum', 'overlapping fragments'],
    ...['fragment that ends beyond 65535', 'VXLAN without the flag for its VNI', 'ARP with addresses of length zero'],
  ]);

  test.each(MALFORMED.map((row) => [row.name, row] as const))('%s', (name, row) => {
    for (let seed = 1; seed <= 5; seed++) {
      const made = row.make(new Rng(seed));
      const bytes = made instanceof PacketBuilder ? made.build() : made;
      const dissection = dissect(bytes);
      if (name.endsWith('checksum')) {
        expect(verifyChecksums(dissection).filter(({ state }) => state === 'wrong')).toHaveLength(1);
      }
      if (!silent.has(name)) expect(dissection.problems).not.toEqual([]);
      holds(bytes, 1);
    }
  });

  test('same seed, same packets', () => {
    expect([...malformedPackets(new Rng(7), 64)]).toEqual([...malformedPackets(new Rng(7), 64)]);
    expect([...malformedPackets(new Rng(7), 64)]).not.toEqual([...malformedPackets(new Rng(8), 64)]);
  });

  test('what the headers announce and the packet does not have is "truncated"', () => {
    const bytes = eth().ip4().udp().payload('hello').build();
    expect(dissect(bytes).truncated).toBe(false);
    expect(dissect(bytes.subarray(0, 44)).truncated).toBe(true);
    expect(dissect(bytes.subarray(0, 44)).problems).toEqual([
      { layer: 'ip4', offset: 14, text: 'length says 33 bytes, 30 are there' },
      { layer: 'udp', offset: 34, text: 'length says 13 bytes, 10 are there' },
    ]);
  });

  test('an ICMP error may quote less than the quoted packet says', () => {
    const quoted = packet().ip4({ len: 1500 }).tcp({ sport: 1, dport: 2 }).build();
    for (const kept of [28, 40]) {
      const bytes = eth().ip4().icmp({ type: 3, code: 4, mtu: 1400 }).payload(quoted.subarray(0, kept)).build();
      const { layers, problems } = dissect(bytes);
      expect(problems).toEqual([]);
      expect(layers.map((layer) => layer.name).slice(3)).toEqual(['ip4', kept === 28 ? 'payload' : 'tcp']);
    }
  });

  test('IPv6 with payload length 0 and hop-by-hop options goes to the end', () => {
    const bytes = eth()
      .ip6({ plen: 0 })
      .hopopts({ options: [{ name: 'jumbo', value: 70_000 }] })
      .udp()
      .payload('x')
      .build();
    const { layers } = dissect(bytes);
    expect(layers.map((layer) => layer.name)).toEqual(['eth', 'ip6', 'hopopts', 'udp', 'payload']);
  });

  test('checksums over more than is there are not judged', () => {
    const bytes = eth().ip4().udp({ sport: 9 }).payload(pattern(100)).build();
    const states = (packet: Uint8Array) => verifyChecksums(dissect(packet)).map(({ state }) => state);
    expect(states(bytes)).toEqual(['ok', 'ok']);
    expect(states(bytes.subarray(0, 80))).toEqual(['ok', 'unknown']);
    expect(states(fragmentIp4(bytes, 60)[0]!)).toEqual(['ok', 'unknown']);
    expect(states(eth().ip4().udp({ checksum: 0 }).build())).toEqual(['ok', 'none']);
  });

  test('a checksum of all ones is as good as zero', () => {
    const sum = dissect(eth().ip4({ id: 0 }).payload('').build()).layers[1]!.num('checksum');
    const zero = eth().ip4({ id: sum }).build();
    expect(dissect(zero).layers[1]!.num('checksum')).toBe(0);
    expect(verifyChecksums(dissect(eth().ip4({ id: sum, checksum: 0xffff }).build()))[0]!.state).toBe('ok');
  });

  test('a thousand nested headers end in payload', () => {
    const labels = new Uint8Array(4000);
    const bytes = Uint8Array.of(...eth({ type: 0x8847 }).build(), ...labels);
    const { layers } = dissect(bytes);
    expect(layers.length).toBeLessThan(100);
    expect(layers.at(-1)!.name).toBe('payload');
  });
});

describe('the builder', () => {
  test.each([
    [
      'a field that does not exist',
      () => eth().ip4({ tll: 1 } as object),
      /ip4 has no field "tll"; it has version ihl/,
    ],
    [
      'a value that does not fit',
      () => eth().ip4({ ttl: 256 }),
      /ip4\.ttl: 256 does not fit; it is a number from 0 to 255/,
    ],
    ['a fraction', () => eth().ip4({ ttl: 1.5 }), /ip4\.ttl: 1.5 does not fit/],
    ['text for a number', () => eth().ip4({ ttl: '1' as never }), /ip4\.ttl/],
    ['an address that is none', () => eth().ip4({ src: '10.0.0' }), /"10\.0\.0" is not an IPv4 address/],
    ['an address of the wrong length', () => eth({ src: new Uint8Array(5) }), /eth\.src/],
    [
      'a flag that does not exist',
      () => eth().ip4().tcp({ flags: 'SX' }),
      /tcp\.flags: no flag "X"; there are F S R P A U E C N/,
    ],
    [
      'a field that this kind of header does not have',
      () => eth().ip4().icmp({ type: 3, id: 5 }),
      /icmp\.id does not exist/,
    ],
    [
      'more options than a header can hold',
      () =>
        eth()
          .ip4()
          .tcp({ options: new Uint8Array(44) }),
      /tcp\.doff: computed value 16/,
    ],
    [
      'an option that does not exist',
      () =>
        eth()
          .ip4()
          .tcp({ options: [{ name: 'mms' }] }),
      /no tcp option "mms"/,
    ],
    [
      'a packet too long for its length field',
      () => eth().ip4().payload(new Uint8Array(65_536)),
      /ip4\.len: computed value 65556/,
    ],
    ['bytes that are a number', () => eth().payload(5 as never), /payload\.data: bytes wanted/],
  ])('refuses %s', (_, make, message) => {
    expect(() => make().build()).toThrow(PacketError);
    expect(() => make().build()).toThrow(message);
  });

  test('given fields win over computed ones', () => {
    const bytes = eth({ type: 0x1234 }).ip4({ len: 1, ihl: 6, proto: 99, checksum: 7 }).build();
    const view = new DataView(bytes.buffer);
    expect([view.getUint16(12), view.getUint16(16), bytes[14], bytes[23], view.getUint16(24)]).toEqual([
      0x1234, 1, 0x46, 99, 7,
    ]);
  });

  test('padding is nothing that a header announces', () => {
    const { layers } = dissect(eth().ip4().padding(4).build());
    expect([layers[1]!.num('proto'), layers[1]!.num('len')]).toEqual([59, 20]);
  });

  test('starts can be shared', () => {
    const start = eth().ip4();
    const [one, two] = [start.udp({ sport: 1 }), start.tcp({ sport: 2 })];
    expect([start, one, two].map((builder) => builder.layers.length)).toEqual([2, 3, 3]);
  });

  test('a tag before a tag is announced as a service tag', () => {
    const view = new DataView(eth().vlan().vlan().ip4().build().buffer);
    expect([view.getUint16(12), view.getUint16(16), view.getUint16(20)]).toEqual([0x88a8, 0x8100, 0x0800]);
  });

  test('UDP over tunnel headers gets their ports', () => {
    expect(dissect(eth().ip4().vxlan().eth().ip4().build()).layers[2]!.num('dport')).toBe(4789);
    expect(dissect(eth().ip4().udp({ sport: 5 }).geneve().eth().build()).layers[2]!.num('dport')).toBe(6081);
    expect(dissect(eth().ip4().udp({ dport: 8472 }).vxlan().eth().ip4().build()).layers[3]!.name).toBe('vxlan');
  });

  test('a UDP checksum that comes out as zero is sent as all ones', () => {
    const base = eth().ip4().udp({ sport: 1, dport: 2 });
    const sum = dissect(base.payload(Uint8Array.of(0, 0)).build()).layers[2]!.num('checksum');
    const bytes = base.payload(Uint8Array.of(sum >> 8, sum & 0xff)).build();
    expect(dissect(bytes).layers[2]!.num('checksum')).toBe(0xffff);
    expect(verifyChecksums(dissect(bytes)).map(({ state }) => state)).toEqual(['ok', 'ok']);
  });

  test('a routing header with segments left: the checksum covers the last destination', () => {
    const last = [0xfd, ...new Uint8Array(14), 9];
    const via = packet()
      .ip6({ dst: 'fd00::8' })
      .routing({ type: 0, segleft: 1, data: Uint8Array.of(0, 0, 0, 0, ...last) });
    const sum = (builder: PacketBuilder) =>
      dissect(builder.udp().payload('x').build(), { linkType: 101 }).layers.at(-2)!.num('checksum');
    expect(sum(via)).toBe(sum(packet().ip6({ dst: 'fd00::9' })));
  });
});

describe('fragments', () => {
  test('put together they are the packet again', () => {
    const whole = eth().vlan({ id: 5 }).ip4({ id: 9 }).udp().payload(pattern(3000)).build();
    const parts = fragmentIp4(whole, 1500).map((bytes) => dissect(bytes));
    expect(parts.map(({ layers }) => layers[2]!.value('flags'))).toEqual([1, 1, 0]);
    const data = parts.flatMap(({ bytes, layers }) => [...bytes.subarray(layers[2]!.offset + 20)]);
    expect(Uint8Array.from(data)).toEqual(whole.subarray(38));
    for (const part of parts) expect(part.problems).toEqual([]);
  });

  test('an mtu without room, or a packet without IPv4, is refused', () => {
    expect(() => fragmentIp4(eth().ip4().udp().build(), 27)).toThrow(PacketError);
    expect(() => fragmentIp4(eth().ip6().udp().build(), 1500)).toThrow(PacketError);
  });
});

describe('summaries', () => {
  const cases: [PacketBuilder, string][] = [
    [
      eth()
        .ip4({ dst: '10.0.0.9' })
        .tcp({ sport: 4001, dport: 22, flags: 'S', options: new Uint8Array(20) }),
      '10.0.0.1:4001 > 10.0.0.9:22    TCP S   74B',
    ],
    [eth().ip4().tcp({ sport: 1, dport: 2, flags: 'SA' }), '10.0.0.1:1 > 10.0.0.2:2        TCP SA  54B'],
    [eth().ip6().udp({ sport: 1, dport: 53 }), '[fd00::1]:1 > [fd00::2]:53     UDP     62B'],
    [eth().ip4().icmp(), '10.0.0.1 > 10.0.0.2            ICMP echo request 42B'],
    [
      eth().ip4().icmp({ type: 3, code: 3 }).ip4({ src: '1.1.1.1' }).udp(),
      '10.0.0.1 > 10.0.0.2            ICMP unreachable 70B',
    ],
    [eth().arp(), '10.0.0.1 > 10.0.0.2            ARP request 42B'],
    [eth().vlan({ id: 7 }).ip4().payload('x'), '10.0.0.1 > 10.0.0.2            protocol 253 39B  vlan 7'],
    [eth({ type: 0x88cc }), '02:00:00:00:00:01 > 02:00:00:00:00:02 LLDP    14B'],
    [
      eth().ip4({ src: '192.0.2.1', dst: '192.0.2.2' }).vxlan({ vni: 42 }).eth().ip4().udp({ sport: 1, dport: 2 }),
      '10.0.0.1:1 > 10.0.0.2:2        UDP     92B  vxlan 42, in 192.0.2.1 > 192.0.2.2',
    ],
    [
      eth().ip4({ frag: 185, proto: 17 }).payload('x'),
      '10.0.0.1 > 10.0.0.2            UDP     35B  fragment at 1480, last',
    ],
  ];

  test.each(cases.map(([builder, text]) => [text, builder] as const))('%s', (text, builder) => {
    expect(summarize(builder.build())).toBe(text);
  });

  test('bytes that the capture did not keep are told', () => {
    const bytes = eth().ip4({ len: 1500 }).udp({ sport: 1, dport: 2, len: 1480 }).payload('abc').build();
    expect(summarize(bytes, { originalLength: 1514 })).toBe(
      '10.0.0.1:1 > 10.0.0.2:2        UDP     45B of 1514B  cut: length says 1500 bytes, 31 are there',
    );
  });

  test('an empty packet has one too', () => {
    expect(summaryOf(dissect(new Uint8Array(0)))).toMatchObject({ protocol: 'data', length: 0 });
  });
});

describe('the diff', () => {
  test('is empty exactly when nothing changed, and never throws', () => {
    const rng = new Rng(5);
    for (const bytes of mixed) {
      expect(diffPackets(bytes, bytes.slice())).toEqual([]);
      for (const other of [
        bitFlipped(bytes, rng),
        mixed[rng.below(mixed.length)]!,
        bytes.subarray(0, rng.below(bytes.length)),
      ]) {
        const same = sameBytes(other, bytes);
        const changes = diffPackets(bytes, other);
        expect(changes.length === 0).toBe(same);
        expect(formatDiff(changes) === '').toBe(same);
        JSON.stringify(changes);
      }
    }
  });
});
