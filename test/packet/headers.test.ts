import { describe, expect, test } from 'vitest';
import { readBits, writeBits } from '../../src/packet/field.ts';
import { HEADERS } from '../../src/packet/headers.ts';
import { ETHERTYPES, IP_PROTOCOLS, LINK_TYPES, UDP_PORTS } from '../../src/packet/protocols.ts';

const SIZES = {
  ...{ eth: 14, vlan: 4, arp: 8, ip4: 20, ip6: 40, hopopts: 2, routing: 4, fragment: 8, dstopts: 2, icmp: 4, icmp6: 4 },
  ...{ tcp: 20, udp: 8, gre: 4, vxlan: 8, geneve: 8, mpls: 4, payload: 0, padding: 0 },
};

describe('the header tables', () => {
  test.each(Object.entries(HEADERS))('%s: its fixed part has the size of the standard', (name, header) => {
    expect(header.size).toBe(SIZES[name as keyof typeof SIZES]);
  });

  test.each(Object.entries(HEADERS))(
    '%s: fields have one name each, and rows refer to fields that exist',
    (_, header) => {
      expect(header.byName.size).toBe(header.fields.length);
      for (const field of header.compiled) {
        if (field.setBy) expect(header.byName.has(field.setBy)).toBe(true);
        if (field.flags) expect(field.flags.length).toBeLessThanOrEqual(field.bits);
        if (field.kind === 'bytes') expect(field.size).toBeDefined();
        else expect(field.bits).toBeGreaterThan(0);
      }
    },
  );

  const spaces = { ETHERTYPES, IP_PROTOCOLS, UDP_PORTS, LINK_TYPES };
  test.each(Object.entries(spaces))('%s: numbers occur once and lead to tables that exist', (_, rows) => {
    expect(new Set(rows.map((row) => row.value)).size).toBe(rows.length);
    for (const row of rows) if ('header' in row && row.header !== 'ip') expect(HEADERS).toHaveProperty(row.header);
  });
});

describe('bit fields', () => {
  test('what is written is read, and the bits around it stay, at every offset and width', () => {
    const wrong: number[][] = [];
    for (let bits = 1; bits <= 32; bits++) {
      for (let offset = 0; offset < 16; offset++) {
        for (const value of [0, 1, 2 ** bits - 1, Math.floor((2 ** bits - 1) / 3)]) {
          for (const background of [0, 0xff]) {
            const bytes = new Uint8Array(6).fill(background);
            writeBits(bytes, offset, bits, value);
            const around = Array.from({ length: 48 }, (_, bit) => bit).filter(
              (bit) => bit < offset || bit >= offset + bits,
            );
            const kept = around.every((bit) => readBits(bytes, bit, 1) === (background & 1));
            if (readBits(bytes, offset, bits) !== value || !kept) wrong.push([offset, bits, value, background]);
          }
        }
      }
    }
    expect(wrong).toEqual([]);
  });
});
