import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/base/rng.ts';
import { concat } from '../../src/packet/bytes.ts';
import { readCaptureBytes } from '../../src/packet/capture-reader.ts';
import { type PacketRecord, PcapWriter } from '../../src/packet/capture-writer.ts';
import { mixedPackets, synPackets } from '../../src/packet/mixed.ts';

const folder = new URL('../../progs/captures/', import.meta.url);
const captures = { 'mixed.pcap': () => mixedPackets(new Rng(1)), 'syn.pcap': () => synPackets() };

function pcap(packets: Iterable<PacketRecord>): Uint8Array {
  const writer = new PcapWriter();
  for (const packet of packets) writer.write(packet);
  return concat(writer.finish());
}

describe('the captures in progs/captures', () => {
  test.each(Object.entries(captures))('%s is what its generator makes (RECORD=1 writes it)', (name, make) => {
    const file = new URL(name, folder);
    const bytes = pcap(make());
    if (process.env.RECORD) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(file, bytes);
    }
    expect(existsSync(file)).toBe(true);
    expect(new Uint8Array(readFileSync(file))).toEqual(bytes);
    const { packets, error } = readCaptureBytes(bytes);
    expect(error).toBeUndefined();
    expect(packets.map((packet) => packet.data)).toEqual([...make()].map((packet) => packet.data));
  });

  test('the mixed one has about 200 packets', () => {
    const count = [...mixedPackets(new Rng(1))].length;
    expect(count).toBeGreaterThan(180);
    expect(count).toBeLessThan(220);
  });
});
