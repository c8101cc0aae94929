import { existsSync, readFileSync } from 'node:fs';
import { readCaptureBytes } from '../../src/packet/capture-reader.ts';
import { unhex } from './libc.ts';
import { BENCH_CAPTURE, MIXED_CAPTURE } from './objects.ts';

/** TCP and UDP over IPv4 and IPv6, VLAN, ARP, 802.3 multicast, and nothing but an Ethernet header. */
export const SMALL_PACKETS = [
  '02000000000202000000000108004500005012344000400614720a0000010a0000029c400050010203040506070850182000516c0000000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627',
  '02000000000202000000000186dd600000000048114020010db800000000000000000000000120010db800000000000000000000000214e900350048aac7000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f',
  '0200000000020200000000018100206408004500003012344000400114970a0000010a0000020800f7fd000100010000000000000000000000000000000000000000',
  '02000000000202000000000188b5',
  'ffffffffffff0200000000010806000108000604000102000000000101020304000000000000010203ff',
  '01005e0000fb02000000000100200102030405060708090a0b0c0d0e0f1011121314151617',
].map(unhex);

const captures = new Map<string, Uint8Array[]>();

/** Packets of a capture; none where it is not there. */
export function capturedPackets(file: string): Uint8Array[] {
  let packets = captures.get(file);
  if (!packets) {
    const bytes = existsSync(file) ? new Uint8Array(readFileSync(file)) : new Uint8Array();
    packets = readCaptureBytes(bytes).packets.map(({ data }) => data.slice());
    captures.set(file, packets);
  }
  return packets;
}

/** What every object is compared on: small packets whole and cut short, a jumbo frame, and the mixed capture. */
export function comparisonPackets(): Uint8Array[] {
  const cuts = SMALL_PACKETS.flatMap((packet) =>
    [14, 18, 26, 33, 34, 38, 42, 53, 54, 60]
      .filter((size) => size < packet.length)
      .map((size) => packet.slice(0, size)),
  );
  const jumbo = Uint8Array.from({ length: 5000 }, (_, i) => (i * 11) & 0xff);
  jumbo.set(SMALL_PACKETS[0]!);
  return [...SMALL_PACKETS, ...cuts, jumbo, ...capturedPackets(MIXED_CAPTURE)];
}

/** A few, for programs that do the same work a hundred times over. */
export function benchPackets(): Uint8Array[] {
  return [...capturedPackets(BENCH_CAPTURE).slice(0, 1), SMALL_PACKETS[0]!];
}
