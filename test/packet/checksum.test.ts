import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseIp4, parseIp6 } from '../../src/base/address.ts';
import {
  checksumHolds,
  foldSum,
  internetChecksum,
  pseudoHeaderSum,
  updateChecksum16,
  updateChecksum32,
} from '../../src/packet/checksum.ts';
import { MICROSOFT_RSS_KEY, rssInput, toeplitz } from '../../src/packet/toeplitz.ts';

describe('the Internet checksum', () => {
  test('of the example in RFC 1071, section 3', () => {
    const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
    expect(internetChecksum(bytes)).toBe(~0xddf2 & 0xffff);
  });

  test('an odd last byte counts as the high one', () => {
    expect(internetChecksum(Uint8Array.of(0x12, 0x34, 0x56))).toBe(
      internetChecksum(Uint8Array.of(0x12, 0x34, 0x56, 0)),
    );
  });

  test('holds once it is in its field, and one changed bit breaks it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 2, maxLength: 64 }), fc.nat(), (bytes, flip) => {
        bytes[0] = 0;
        bytes[1] = 0;
        const sum = internetChecksum(bytes);
        bytes[0] = sum >> 8;
        bytes[1] = sum & 0xff;
        expect(checksumHolds(bytes)).toBe(true);
        const bit = flip % (bytes.length * 8);
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        expect(checksumHolds(bytes)).toBe(false);
      }),
    );
  });

  test('sums over more than 65,535 words fold', () => {
    expect(internetChecksum(new Uint8Array(300_000).fill(0xff))).toBe(0);
    expect(foldSum(0xffff_ffff)).toBe(0xffff);
  });

  test('the pseudo header counts addresses, protocol and length', () => {
    expect(foldSum(pseudoHeaderSum(parseIp4('10.0.0.1'), parseIp4('10.0.0.2'), 17, 20))).toBe(0x1400 + 3 + 17 + 20);
    expect(pseudoHeaderSum(parseIp6('::1'), parseIp6('::2'), 6, 0x1_0002)).toBe(1 + 2 + 6 + 1 + 2);
  });

  test('RFC 1624, section 4: the case that RFC 1141 got wrong', () => {
    expect(updateChecksum16(0xdd2f, 0x5555, 0x3285)).toBe(0x0000);
  });

  test('an update equals a new computation', () => {
    const word = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 40 }), word, word, (bytes, high, low) => {
        // All-zero data has two representations of its sum; the first word keeps it away.
        bytes[0] = 0x45;
        const before = internetChecksum(bytes);
        const view = new DataView(bytes.buffer);
        const old = view.getUint32(4);
        const value = high * 0x10000 + low;
        view.setUint32(4, value);
        expect(updateChecksum32(before, old, value)).toBe(internetChecksum(bytes));
        view.setUint16(2, 0x1234);
        const next = internetChecksum(bytes);
        view.setUint16(2, low);
        expect(updateChecksum16(next, 0x1234, low)).toBe(internetChecksum(bytes));
      }),
    );
  });
});

// The verification suite of Microsoft's RSS specification.
describe('the Toeplitz hash', () => {
  test.each([
    ['66.9.149.187', 2794, '161.142.100.80', 1766, 0x323e8fc2, 0x51ccc178],
    ['199.92.111.2', 14230, '65.69.140.83', 4739, 0xd718262a, 0xc626b0ea],
    ['24.19.198.95', 12898, '12.22.207.184', 38024, 0xd2d0a5de, 0x5c2b394a],
    ['38.27.205.30', 48228, '209.142.163.6', 2217, 0x82989176, 0xafc7327f],
    ['153.39.163.191', 44251, '202.188.127.2', 1303, 0x5d1809c5, 0x10e828a2],
  ])('IPv4 %s:%i > %s:%i', (src, sport, dst, dport, two, four) => {
    const addresses = [parseIp4(src), parseIp4(dst)] as const;
    expect(toeplitz(MICROSOFT_RSS_KEY, rssInput(...addresses))).toBe(two);
    expect(toeplitz(MICROSOFT_RSS_KEY, rssInput(...addresses, sport, dport))).toBe(four);
  });

  test.each([
    ['3ffe:2501:200:1fff::7', 2794, '3ffe:2501:200:3::1', 1766, 0x2cc18cd5, 0x40207d3d],
    ['3ffe:501:8::260:97ff:fe40:efab', 14230, 'ff02::1', 4739, 0x0f0c461c, 0xdde51bbf],
    ['3ffe:1900:4545:3:200:f8ff:fe21:67cf', 44251, 'fe80::200:f8ff:fe21:67cf', 38024, 0x4b61e985, 0x02d1feef],
  ])('IPv6 %s:%i > %s:%i', (src, sport, dst, dport, two, four) => {
    const addresses = [parseIp6(src), parseIp6(dst)] as const;
    expect(toeplitz(MICROSOFT_RSS_KEY, rssInput(...addresses))).toBe(two);
    expect(toeplitz(MICROSOFT_RSS_KEY, rssInput(...addresses, sport, dport))).toBe(four);
  });

  test('takes missing bytes of the key as zero', () => {
    expect(toeplitz(Uint8Array.of(255, 255, 255, 255), Uint8Array.of(0, 1))).toBe(0xffff8000);
    expect(toeplitz(Uint8Array.of(255, 255, 255, 255), Uint8Array.of(0, 0, 0, 0, 0x80))).toBe(0);
  });
});
