import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatIp4, formatIp6, formatMac, parseIp4, parseIp6, parseMac } from '../../src/base/address.ts';
import { PacketError } from '../../src/base/error.ts';

describe('MAC addresses', () => {
  test.each([
    ['02:00:00:00:00:01', '02:00:00:00:00:01'],
    ['AA-BB-CC-DD-EE-FF', 'aa:bb:cc:dd:ee:ff'],
    ['0200.0000.0001', '02:00:00:00:00:01'],
    ['2:0:0:0:0:1', '02:00:00:00:00:01'],
  ])('%s is read', (text, normal) => expect(formatMac(parseMac(text))).toBe(normal));

  test.each(['', '02:00:00:00:00', '02:00:00:00:00:01:02', '02:00-00:00:00:01', 'g2:00:00:00:00:01', '020000000001'])(
    '"%s" is refused',
    (text) => expect(() => parseMac(text)).toThrow(PacketError),
  );
});

describe('IPv4 addresses', () => {
  test('round trip', () => {
    fc.assert(fc.property(fc.ipV4(), (text) => formatIp4(parseIp4(text)) === text));
  });

  test.each(['', '10.0.0', '10.0.0.256', '10.0.0.1.2', '0x0a.0.0.1', '10.0.0.1 ', '1e1.0.0.1'])(
    '"%s" is refused',
    (text) => expect(() => parseIp4(text)).toThrow(PacketError),
  );
});

describe('IPv6 addresses', () => {
  // The examples of RFC 5952, section 4, and the corners of "::".
  test.each([
    ['2001:0db8::0001', '2001:db8::1'],
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:DB8::A', '2001:db8::a'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['0:0:0:0:0:ffff:c000:201', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['fe80:0:0:0:0:0:0:0', 'fe80::'],
  ])('%s is written %s', (text, normal) => expect(formatIp6(parseIp6(text))).toBe(normal));

  test.each([
    '',
    ':',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '12345::',
    '1:2:3:4::5:6:7:8',
    '::1.2.3',
    '::1.2.3.4:5',
    'fe80::1%eth0',
  ])('"%s" is refused', (text) => {
    expect(isIPv6(text.replace(/%.*/, 'x'))).toBe(false);
    expect(() => parseIp6(text)).toThrow(PacketError);
  });

  test('any bytes survive, and a second opinion accepts the text', () => {
    const sparse = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 255 })), {
      minLength: 16,
      maxLength: 16,
    });
    fc.assert(
      fc.property(sparse, (list) => {
        const bytes = Uint8Array.from(list);
        const text = formatIp6(bytes);
        expect(isIPv6(text) && !isIPv4(text)).toBe(true);
        expect(new URL(`http://[${text}]/`).hostname).toBe(`[${text.includes('.') ? mapped(bytes) : text}]`);
        expect(parseIp6(text)).toEqual(bytes);
      }),
    );
  });
});

/** The URL standard writes mapped addresses without the dotted quad. */
function mapped(bytes: Uint8Array): string {
  const word = (at: number) => ((bytes[at]! << 8) | bytes[at + 1]!).toString(16);
  return `::ffff:${word(12)}:${word(14)}`;
}
