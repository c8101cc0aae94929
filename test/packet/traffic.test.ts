import { describe, expect, test } from 'vitest';
import { PacketError } from '../../src/base/error.ts';
import { Rng } from '../../src/base/rng.ts';
import { dissect, verifyChecksums } from '../../src/packet/dissect.ts';
import { summaryOf } from '../../src/packet/summary.ts';
import { addressSweep, imix, portSweep, sizeSweep, tcpFlows, udpFlows } from '../../src/packet/traffic.ts';

const flowOf = (bytes: Uint8Array) => summaryOf(dissect(bytes)).from;
const count = <T>(list: readonly T[]) =>
  list.reduce((counts, item) => counts.set(item, (counts.get(item) ?? 0) + 1), new Map<T, number>());

const generators = {
  udpFlows: () => udpFlows({ flows: 5, count: 20 }),
  'udpFlows, random': () => udpFlows({ flows: 5, count: 20, rng: new Rng(4) }),
  'udpFlows, IPv6 and tagged': () => udpFlows({ flows: 5, count: 20, ipVersion: 6, vlan: 7, size: 128 }),
  'udpFlows, IPv4 and tagged': () => udpFlows({ flows: 5, count: 20, vlan: 7 }),
  'udpFlows, 100,000': () => udpFlows({ flows: 100_000, count: 60, rng: new Rng(4) }),
  tcpFlows: () => tcpFlows({ flows: 3 }),
  'tcpFlows, random': () => tcpFlows({ flows: 3, rng: new Rng(4) }),
  'tcpFlows, IPv6': () => tcpFlows({ flows: 3, ipVersion: 6, size: 512 }),
  imix: () => imix({ count: 24 }),
  'imix, random': () => imix({ count: 24, flows: 3, rng: new Rng(4) }),
  sizeSweep: () => sizeSweep({ step: 97 }),
  portSweep: () => portSweep({ from: 20, to: 40 }),
  'portSweep, UDP': () => portSweep({ from: 20, to: 40, protocol: 'udp', ipVersion: 6 }),
  addressSweep: () => addressSweep({ prefix: '10.1.2.0/28' }),
};

describe('all generators', () => {
  test.each(Object.entries(generators))('%s: intact packets, and the same ones again', (_, make) => {
    const packets = [...make()];
    expect(packets.length).toBeGreaterThan(10);
    expect([...make()]).toEqual(packets);
    for (const bytes of packets) {
      const dissection = dissect(bytes);
      expect(dissection.problems).toEqual([]);
      for (const { layer, state } of verifyChecksums(dissection))
        expect([layer.name, state]).toEqual([layer.name, 'ok']);
    }
  });

  test('packets are not shared: one that is changed does not change the next', () => {
    const generator = udpFlows();
    const first = generator.next().value!;
    const copy = first.slice();
    first.fill(0);
    expect(generator.next().value).toEqual(copy);
  });
});

describe('udpFlows', () => {
  test('sizes count the frame check sequence', () => {
    expect(udpFlows({ size: 64 }).next().value!.length).toBe(60);
    expect(udpFlows({ size: 1518 }).next().value!.length).toBe(1514);
    expect(udpFlows({ size: 1 }).next().value!.length).toBe(42);
  });

  test('goes round the flows in order, or picks them at random', () => {
    expect([...count([...udpFlows({ flows: 4, count: 40 })].map(flowOf)).values()]).toEqual([10, 10, 10, 10]);
    const random = [...udpFlows({ flows: 4, count: 400, rng: new Rng(1) })].map(flowOf);
    expect(random.slice(0, 4)).not.toEqual([...udpFlows({ flows: 4, count: 4 })].map(flowOf));
    for (const times of count(random).values()) expect(times).toBeGreaterThan(60);
  });

  test('has as many flows as asked for, beyond the ports of one address', () => {
    const flows = 40_000;
    expect(count([...udpFlows({ flows, count: flows })].map(flowOf)).size).toBe(flows);
  });

  test('no flow at all is refused', () => {
    expect(() => udpFlows({ flows: 0 }).next()).toThrow(PacketError);
  });
});

describe('tcpFlows', () => {
  const info = (bytes: Uint8Array) => summaryOf(dissect(bytes)).info;

  test('one connection: handshake, data, end, with numbers that follow', () => {
    const packets = [...tcpFlows({ packets: 2, size: 1518 })];
    expect(packets.map(info)).toEqual(['S', 'SA', 'A', 'PA', 'A', 'PA', 'A', 'FA', 'FA', 'A']);
    const numbers = packets.map((bytes) => {
      const tcp = dissect(bytes).layers[2]!;
      return [tcp.num('seq') % 1_000_000_000, tcp.num('ack') % 1_000_000_000];
    });
    expect(numbers).toEqual([
      [1000, 0],
      [0, 1001],
      [1001, 1],
      [1001, 1],
      [1, 2461],
      [2461, 1],
      [1, 3921],
      [3921, 1],
      [1, 3922],
      [3922, 2],
    ]);
  });

  test('without replies, only the client is heard', () => {
    const packets = [...tcpFlows({ flows: 2, packets: 1, replies: false })];
    expect(new Set(packets.map(flowOf))).toEqual(new Set(['10.0.0.1:1024', '10.0.0.1:1025']));
    expect(packets.map(info)).toEqual(['S', 'S', 'A', 'A', 'PA', 'PA', 'FA', 'FA', 'A', 'A']);
  });

  test('ends after count packets', () => {
    expect([...tcpFlows({ flows: 100, count: 7 })]).toHaveLength(7);
  });
});

describe('imix', () => {
  test('each round of twelve has seven small, four middle, one large, in any order', () => {
    for (const rng of [undefined, new Rng(9)]) {
      const sizes = [...imix({ count: 36, rng })].map((bytes) => bytes.length);
      for (const round of [0, 12, 24]) {
        expect([...count(sizes.slice(round, round + 12))].sort((a, b) => a[0] - b[0])).toEqual([
          [60, 7],
          [590, 4],
          [1514, 1],
        ]);
      }
    }
  });

  test('takes another mix, but not an empty one', () => {
    expect([...imix({ count: 3, mix: [{ size: 100, share: 1 }] })].map((bytes) => bytes.length)).toEqual([96, 96, 96]);
    expect(() => imix({ mix: [] }).next()).toThrow(PacketError);
  });
});

describe('sweeps', () => {
  test('sizes', () => {
    expect([...sizeSweep({ from: 64, to: 70, step: 2 })].map((bytes) => bytes.length)).toEqual([60, 62, 64, 66]);
    expect(() => sizeSweep({ step: 0 }).next()).toThrow(PacketError);
  });

  test('ports', () => {
    expect([...portSweep({ from: 79, to: 81 })].map((bytes) => summaryOf(dissect(bytes)).to)).toEqual([
      '10.0.0.2:79',
      '10.0.0.2:80',
      '10.0.0.2:81',
    ]);
  });

  test('addresses of a prefix, whatever its host bits', () => {
    const to = [...addressSweep({ prefix: '10.255.255.254/30' })].map((bytes) => summaryOf(dissect(bytes)).to);
    expect(to).toEqual(['10.255.255.252:9', '10.255.255.253:9', '10.255.255.254:9', '10.255.255.255:9']);
    expect([...addressSweep({ prefix: '255.255.255.255' })]).toHaveLength(1);
    expect(addressSweep({ prefix: '0.0.0.0/0' }).next().done).toBe(false);
  });

  test.each(['10.0.0.0/33', '10.0.0/8', '10.0.0.0/', 'x'])('%s is refused', (prefix) => {
    expect(() => addressSweep({ prefix }).next()).toThrow(PacketError);
  });
});
