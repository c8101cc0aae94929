import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PacketError } from '../../src/base/error.ts';
import { Rng } from '../../src/base/rng.ts';
import { concat } from '../../src/packet/bytes.ts';
import { type CapturedPacket, CaptureError } from '../../src/packet/capture.ts';
import { CaptureReader, readCaptureBytes } from '../../src/packet/capture-reader.ts';
import { type Chunks, readCapture } from '../../src/packet/capture-stream.ts';
import { captureName, PcapngWriter, PcapWriter } from '../../src/packet/capture-writer.ts';
import { bitFlipped } from '../../src/packet/malformed.ts';
import { mixedPackets, synPackets } from '../../src/packet/mixed.ts';
import { encodeOption, encodePacketOptions, type PacketOptions } from '../../src/packet/pcapng-options.ts';

const records = [...synPackets()];

function pcap(options: ConstructorParameters<typeof PcapWriter>[0] = {}, packets = records): Uint8Array {
  const writer = new PcapWriter(options);
  for (const packet of packets) writer.write(packet);
  return concat(writer.finish());
}

function pcapng(options: ConstructorParameters<typeof PcapngWriter>[0] = {}, packets = records): Uint8Array {
  const writer = new PcapngWriter(options);
  writer.addInterface({ name: 'eth0' });
  for (const packet of packets) writer.write(packet);
  return concat(writer.finish());
}

/** A pcapng file by hand, for what the writer does not write. */
class Blocks {
  readonly parts: Uint8Array[] = [];
  readonly littleEndian: boolean;

  constructor(littleEndian = true) {
    this.littleEndian = littleEndian;
  }

  words(...list: number[]): Uint8Array {
    const bytes = new Uint8Array(list.length * 4);
    const view = new DataView(bytes.buffer);
    for (const [i, word] of list.entries()) view.setUint32(i * 4, word, this.littleEndian);
    return bytes;
  }

  halves(first: number, second: number): number {
    return this.littleEndian ? second * 0x10000 + first : first * 0x10000 + second;
  }

  block(type: number, ...body: Uint8Array[]): this {
    const content = concat(body);
    const padded = new Uint8Array((content.length + 3) & ~3);
    padded.set(content);
    const length = 12 + padded.length;
    this.parts.push(concat([this.words(type, length), padded, this.words(length)]));
    return this;
  }

  section(): this {
    return this.block(0x0a0d0d0a, this.words(0x1a2b3c4d, this.halves(1, 0), 0xffffffff, 0xffffffff));
  }

  interface(linkType = 1, snaplen = 0, ...options: Uint8Array[]): this {
    return this.block(1, this.words(this.halves(linkType, 0), snaplen), ...options);
  }

  packet(id: number, high: number, low: number, data: Uint8Array, original = data.length, options?: Uint8Array): this {
    const padded = new Uint8Array((data.length + 3) & ~3);
    padded.set(data);
    return this.block(6, this.words(id, high, low, data.length, original), padded, options ?? new Uint8Array(0));
  }

  bytes(): Uint8Array {
    return concat(this.parts);
  }
}

const DATA = Uint8Array.of(1, 2, 3, 4, 5);
const plain = (packet: CapturedPacket) => ({ seconds: packet.seconds, nanos: packet.nanos, data: packet.data });

describe('reading and writing', () => {
  const forms = [false, true].flatMap((littleEndian) => [
    ['pcap', littleEndian, pcap({ littleEndian })] as const,
    ['pcap with nanoseconds', littleEndian, pcap({ littleEndian, nanoseconds: true })] as const,
    ['pcapng', littleEndian, pcapng({ littleEndian })] as const,
  ]);

  test.each(forms)('%s, little endian %s: what is written is read', (_, __, bytes) => {
    const { packets, interfaces, error } = readCaptureBytes(bytes);
    expect(error).toBeUndefined();
    expect(packets.map(plain)).toEqual(records);
    expect(packets.map((packet) => packet.number)).toEqual(records.map((_, i) => i + 1));
    expect(interfaces.map((source) => source.linkType)).toEqual([1]);
  });

  test.each(forms)('%s, little endian %s: in pieces of any size, the same packets come', (_, __, bytes) => {
    for (const size of [1, 2, 3, 7, 16, 24, 100, 1000]) {
      const reader = new CaptureReader();
      const packets: CapturedPacket[] = [];
      for (let at = 0; at < bytes.length; at += size) packets.push(...reader.push(bytes.slice(at, at + size)));
      reader.end();
      expect(reader.error).toBeUndefined();
      expect(packets.map(plain)).toEqual(records);
      const whole = readCaptureBytes(bytes).packets;
      expect(packets.map((packet) => packet.offset)).toEqual(whole.map((packet) => packet.offset));
    }
  });

  test('any times and sizes survive; pcap keeps what its precision can', () => {
    const record = fc.record({
      seconds: fc.integer({ min: 0, max: 0xffff_ffff }),
      nanos: fc.integer({ min: 0, max: 999_999_999 }),
      data: fc.uint8Array({ maxLength: 40 }),
    });
    fc.assert(
      fc.property(fc.array(record, { maxLength: 10 }), (list) => {
        expect(readCaptureBytes(pcapng({}, list)).packets.map(plain)).toEqual(list);
        expect(readCaptureBytes(pcap({ nanoseconds: true }, list)).packets.map(plain)).toEqual(list);
        const micro = list.map((one) => ({ ...one, nanos: Math.floor(one.nanos / 1000) * 1000 }));
        expect(readCaptureBytes(pcap({}, list)).packets.map(plain)).toEqual(micro);
        for (const [i, packet] of readCaptureBytes(pcapng({}, list)).packets.entries()) {
          expect(packet.timestamp).toBe(BigInt(list[i]!.seconds) * 1_000_000_000n + BigInt(list[i]!.nanos));
        }
      }),
    );
  });

  test('the writer hands out chunks as they fill, and in all the same bytes', () => {
    const many = Array.from({ length: 200 }, (_, i) => ({ data: new Uint8Array(1000).fill(i) }));
    for (const [writer, whole] of [
      [new PcapWriter(), pcap({}, many)],
      [Object.assign(new PcapngWriter()), pcapng({}, many)],
    ] as const) {
      if (writer instanceof PcapngWriter) writer.addInterface({ name: 'eth0' });
      const chunks: Uint8Array[] = [];
      let between = 0;
      for (const packet of many) {
        writer.write(packet);
        const taken = writer.take();
        between += taken.length;
        chunks.push(...taken);
      }
      chunks.push(...writer.finish());
      expect(between).toBeGreaterThan(1);
      expect(Buffer.compare(concat(chunks), whole)).toBe(0);
      expect(writer.finish()).toEqual([]);
    }
  });

  test('a packet larger than a chunk is written', () => {
    const data = new Uint8Array(200_000).fill(7);
    expect(Buffer.compare(readCaptureBytes(pcapng({}, [...records, { data }])).packets.at(-1)!.data, data)).toBe(0);
  });

  test('packets that the capture cut say so', () => {
    const writer = new PcapWriter({ snaplen: 5 });
    writer.write({ data: DATA, originalLength: 1500 });
    writer.write({ data: DATA });
    const { packets } = readCaptureBytes(concat(writer.finish()));
    expect(packets.map((packet) => [packet.originalLength, packet.truncated])).toEqual([
      [1500, true],
      [5, false],
    ]);
  });

  test('the modified pcap of old Linux systems has 8 more bytes per record', () => {
    const file = new Blocks();
    const header = file.words(0xa1b2cd34, file.halves(2, 4), 0, 0, 65_535, 1);
    const record = concat([file.words(7, 8, 5, 5, 1, 2), DATA]);
    const { packets, error } = readCaptureBytes(concat([header, record, record]));
    expect(error).toBeUndefined();
    expect(packets.map(plain)).toEqual([
      { seconds: 7, nanos: 8000, data: DATA },
      { seconds: 7, nanos: 8000, data: DATA },
    ]);
  });

  test('the upper bits of the link type tell of check sequences, and a fraction above a second carries over', () => {
    const file = new Blocks();
    const header = file.words(0xa1b2c3d4, file.halves(2, 4), 0, 0, 65_535, 0x1400_0001);
    const { packets } = readCaptureBytes(concat([header, file.words(7, 2_500_000, 5, 5), DATA]));
    expect(packets.map(({ linkType, seconds, nanos }) => [linkType, seconds, nanos])).toEqual([[1, 9, 500_000_000]]);
  });

  test('an interface that was not added is refused', () => {
    expect(() => new PcapngWriter().write({ data: DATA })).toThrow(PacketError);
  });
});

describe('Buffers', () => {
  test('give packets that are plain Uint8Arrays, whose slice copies', () => {
    for (const packet of readCaptureBytes(Buffer.from(pcap())).packets) {
      expect(Object.getPrototypeOf(packet.data)).toBe(Uint8Array.prototype);
    }
  });
});

describe('pcapng', () => {
  const verdictOptions: PacketOptions = {
    comments: ['dropped: TTL', 'second'],
    flags: 1,
    dropCount: 3n,
    packetId: 0xffff_ffff_ffff_ffffn,
    queue: 2,
    verdicts: [
      { by: 'xdp', value: 1 },
      { by: 'tc', value: -1 },
      { by: 'hardware', data: Uint8Array.of(1, 2) },
      { by: 'type 9', data: Uint8Array.of(3) },
    ],
  };

  test.each([true, false])('options of a packet survive, little endian %s', (littleEndian) => {
    const writer = new PcapngWriter({
      littleEndian,
      application: 'bpflab',
      os: 'Linux',
      hardware: 'none',
      comment: 'c',
    });
    const entry = writer.addInterface({ name: captureName('eth0', 'xdp_fw', 'entry'), description: 'in', snaplen: 96 });
    const exit = writer.addInterface({ name: captureName('eth0', 'xdp_fw', 'exit') });
    writer.write({ data: DATA, interfaceId: entry });
    writer.write({ data: DATA, interfaceId: exit, options: verdictOptions });
    const { packets, interfaces } = readCaptureBytes(concat(writer.finish()));
    expect(interfaces.map((source) => [source.name, source.description, source.snaplen])).toEqual([
      ['eth0:xdp_fw()@entry', 'in', 96],
      ['eth0:xdp_fw()@exit', undefined, 0],
    ]);
    expect(packets.map((packet) => packet.interfaceId)).toEqual([0, 1]);
    expect(packets.map((packet) => packet.options)).toEqual([{}, verdictOptions]);
  });

  test('a comment that is too long is cut between characters', () => {
    const options = encodePacketOptions({ comments: [`a${'€'.repeat(40_000)}`] }, true);
    const bytes = new Blocks().section().interface().packet(0, 0, 0, DATA, 5, options).bytes();
    expect(readCaptureBytes(bytes).packets[0]!.options.comments).toEqual([`a${'€'.repeat(21_844)}`]);
  });

  const resolutions: [string, number, number, number][] = [
    ['default, microseconds', -1, 0x00063ab1, 0x12345678],
    ['10^-6', 6, 0x00063ab1, 0x12345678],
    ['10^-9', 9, 0x17a3b2c1, 0xd0e0f000],
    ['10^-3', 3, 0x197, 0xffffffff],
    ['10^0', 0, 0, 1_700_000_000],
    ['10^-12', 12, 0xffffffff, 0xffffffff],
    ['2^-32', 0xa0, 1_700_000_000, 0x80000000],
    ['2^-10', 0x8a, 0, 1536],
    ['10^-9, all bits', 9, 0xffffffff, 0xffffffff],
  ];

  test.each(resolutions)('time in units of %s', (_, code, high, low) => {
    const options = code < 0 ? [] : [encodeOption(9, Uint8Array.of(code), true)];
    const bytes = new Blocks()
      .section()
      .interface(1, 0, ...options)
      .packet(0, high, low, DATA)
      .bytes();
    const packet = readCaptureBytes(bytes).packets[0]!;
    const ticks = (BigInt(high) << 32n) | BigInt(low);
    const perSecond = code < 0 ? 1_000_000n : code & 0x80 ? 2n ** BigInt(code & 0x7f) : 10n ** BigInt(code);
    expect(BigInt(packet.seconds)).toBe(ticks / perSecond);
    expect(BigInt(packet.nanos)).toBe(((ticks % perSecond) * 1_000_000_000n) / perSecond);
  });

  test.each([
    ['forwards', 3600n, 4600],
    ['backwards', -100n, 900],
  ])('an offset moves time %s', (_, offset, seconds) => {
    const option = new Uint8Array(8);
    new DataView(option.buffer).setBigInt64(0, offset, true);
    const bytes = new Blocks()
      .section()
      .interface(1, 0, encodeOption(14, option, true))
      .packet(0, 0, 1e9, DATA)
      .bytes();
    expect(readCaptureBytes(bytes).packets[0]!.seconds).toBe(seconds);
  });

  test('names may end in zeros', () => {
    const name = encodeOption(2, new TextEncoder().encode('eth0\0\0'), true);
    expect(readCaptureBytes(new Blocks().section().interface(1, 0, name).bytes()).interfaces[0]!.name).toBe('eth0');
  });

  test('several sections of different byte order, each with its own interfaces', () => {
    const first = new Blocks(true).section().interface(1).interface(101).packet(1, 0, 0, DATA).bytes();
    const second = new Blocks(false).section().interface(113).packet(0, 0, 0, DATA).bytes();
    const { packets, error } = readCaptureBytes(concat([first, second]));
    expect(error).toBeUndefined();
    expect(packets.map((packet) => [packet.interfaceId, packet.linkType])).toEqual([
      [1, 101],
      [2, 113],
    ]);
  });

  test.each([true, false])(
    'old and simple packet blocks are read, others are skipped, little endian %s',
    (littleEndian) => {
      const file = new Blocks(littleEndian).section().interface(1, 4);
      file
        .block(4, new Uint8Array(20)) // name resolution
        .block(5, new Uint8Array(16)) // interface statistics
        .block(0xbad, file.words(32473), new Uint8Array(8)) // custom
        .block(0x7777, new Uint8Array(40))
        .block(2, file.words(file.halves(0, 9), 0, 2_000_000, 5, 60), DATA) // obsolete packet
        .block(3, file.words(60), DATA.subarray(0, 4)); // simple packet, cut at the snaplen
      const { packets, error } = readCaptureBytes(file.bytes());
      expect(error).toBeUndefined();
      expect(packets.map((packet) => [packet.seconds, [...packet.data], packet.originalLength])).toEqual([
        [2, [1, 2, 3, 4, 5], 60],
        [0, [1, 2, 3, 4], 60],
      ]);
    },
  );
});

describe('damage', () => {
  const limits = `a multiple of 4 from 12 to ${16 * 1024 * 1024}`;
  const shortened = (bytes: Uint8Array, by: number) => bytes.subarray(0, bytes.length - by);
  const poked = (bytes: Uint8Array, at: number, word: number) => {
    const copy = bytes.slice();
    new DataView(copy.buffer).setUint32(at, word, true);
    return copy;
  };
  const good = () => new Blocks().section().interface();
  const ngAt = 28 + 20;

  const cases: [string, Uint8Array, number, number, RegExp][] = [
    ['nothing', new Uint8Array(0), 0, 0, /the capture is empty/],
    ['three bytes', Uint8Array.of(1, 2, 3), 0, 0, /the capture ends here: 4 bytes expected, 3 are there/],
    [
      'something else',
      new TextEncoder().encode('hello world'),
      0,
      0,
      /neither pcap nor pcapng: it starts with 68656c6c/,
    ],
    ['gzip given to the plain reader', Uint8Array.of(0x1f, 0x8b, 8, 0), 0, 0, /it is compressed with gzip/],
    ['a pcap header cut', pcap().subarray(0, 20), 0, 0, /24 bytes expected, 20 are there/],
    ['a pcap version from the future', poked(pcap(), 4, 3), 0, 0, /pcap version 3\.0 is not read/],
    [
      'a pcap record header cut',
      pcap().subarray(0, 24 + 90 + 10),
      1,
      24 + 90,
      /packet 2 at byte 114: the capture ends here: 16 bytes expected, 10/,
    ],
    [
      'pcap data cut',
      shortened(pcap(), 1),
      11,
      pcap().length - 76,
      /packet 12 at byte 1054: the capture ends here: 76 bytes expected, 75 are there/,
    ],
    [
      'an absurd pcap length',
      poked(pcap(), 24 + 90 + 8, 0xffff_0000),
      1,
      114,
      /captured length 4294901760 is over the limit of 262144/,
    ],
    ['a pcapng block cut', shortened(pcapng(), 3), 11, pcapng().length - 92, /92 bytes expected, 89 are there/],
    [
      'a block length that is no multiple of 4',
      poked(good().packet(0, 0, 0, DATA).bytes(), ngAt + 4, 41),
      0,
      ngAt,
      new RegExp(limits),
    ],
    ['a block length of 8', poked(good().packet(0, 0, 0, DATA).bytes(), ngAt + 4, 8), 0, ngAt, new RegExp(limits)],
    [
      'an absurd block length',
      poked(good().packet(0, 0, 0, DATA).bytes(), ngAt + 4, 0x7fff_fff0),
      0,
      ngAt,
      new RegExp(limits),
    ],
    [
      'two lengths that differ',
      poked(good().packet(0, 0, 0, DATA).bytes(), ngAt + 36, 44),
      0,
      ngAt,
      /starts with length 40 and ends with 44/,
    ],
    [
      'more data than the block',
      poked(good().packet(0, 0, 0, DATA).bytes(), ngAt + 20, 9),
      0,
      ngAt,
      /captured length 9, but its block has room for 8/,
    ],
    [
      'an absurd pcapng packet',
      poked(good().packet(0, 0, 0, DATA).bytes(), ngAt + 20, 300_000),
      0,
      ngAt,
      /over the limit/,
    ],
    [
      'a packet before its interface',
      new Blocks().section().packet(0, 0, 0, DATA).bytes(),
      0,
      28,
      /it names interface 0, but the section describes 0 so far/,
    ],
    [
      'a simple packet before any interface',
      new Blocks().section().block(3, new Uint8Array(8)).bytes(),
      0,
      28,
      /interface 0/,
    ],
    [
      'an interface of the section before',
      concat([good().bytes(), new Blocks().section().packet(0, 0, 0, DATA).bytes()]),
      0,
      76,
      /describes 0/,
    ],
    ['a byte-order magic that is none', poked(pcapng(), 8, 0x1a2b3c4e), 0, 0, /byte-order magic 1a2b3c4e/],
    ['a pcapng version from the future', poked(pcapng(), 12, 2), 0, 0, /pcapng version 2\.0 is not read/],
    [
      'a short section header',
      new Blocks().block(0x0a0d0d0a, new Blocks().words(0x1a2b3c4d)).bytes(),
      0,
      0,
      /section header of 16 bytes/,
    ],
    [
      'a short interface description',
      new Blocks().section().block(1).bytes(),
      0,
      28,
      /interface description of 12 bytes/,
    ],
    ['a short packet block', good().block(6, new Uint8Array(8)).bytes(), 0, ngAt, /packet block of 20 bytes/],
    ['a short simple packet block', good().block(3).bytes(), 0, ngAt, /packet block of 12 bytes/],
  ];

  test.each(cases)('%s: what came before is kept, and the error says where', (_, bytes, kept, offset, message) => {
    const { packets, error } = readCaptureBytes(bytes);
    expect(packets.length).toBe(kept);
    expect(error).toBeInstanceOf(CaptureError);
    expect(error).toBeInstanceOf(PacketError);
    expect(error!.message).toMatch(message);
    expect(error!.message).toMatch(`packet ${kept + 1} at byte ${offset}: `);
    expect([error!.packet, error!.offset]).toEqual([kept + 1, offset]);
  });

  test('after an error, more chunks change nothing', () => {
    const reader = new CaptureReader();
    reader.push(new TextEncoder().encode('hello world'));
    const { error } = reader;
    expect(reader.push(pcap())).toEqual([]);
    reader.end();
    expect(reader.error).toBe(error);
  });

  test('limits can be set', () => {
    expect(readCaptureBytes(pcap(), { maxPacket: 60 }).error!.message).toMatch(/limit of 60/);
    expect(readCaptureBytes(pcapng(), { maxBlock: 60 }).error!.message).toMatch(/from 12 to 60/);
  });

  test('options that are cut or of the wrong length are left out', () => {
    const options = concat([
      encodeOption(6, Uint8Array.of(1, 0), true),
      encodeOption(7, new Uint8Array(0), true),
      encodeOption(6, Uint8Array.of(5, 0, 0, 0), true),
      Uint8Array.of(1, 0, 200, 0),
    ]);
    const bytes = new Blocks().section().interface().packet(0, 0, 0, DATA, 5, options).bytes();
    expect(readCaptureBytes(bytes).packets[0]!.options).toEqual({ queue: 5 });
  });

  test('thousands of captures cut or with bits turned: no crash, no hang, at most a CaptureError', () => {
    const rng = new Rng(11);
    const options = { flags: 1, packetId: 7n, comments: ['x'], verdicts: [{ by: 'xdp', value: 2 }] } as const;
    const ng = new PcapngWriter();
    ng.addInterface({ name: 'eth0' });
    for (const packet of records.slice(0, 4)) ng.write({ ...packet, options });
    const seeds = [
      pcap({}, records.slice(0, 4)),
      concat(ng.finish()),
      pcapng({ littleEndian: false }, records.slice(0, 3)),
    ];
    let failed = 0;
    for (let i = 0; i < 6000; i++) {
      const seed = seeds[i % seeds.length]!;
      const flipped = i % 2 ? bitFlipped(seed, rng, 1 + rng.below(6)) : seed;
      const bytes = i % 3 ? flipped : flipped.subarray(0, rng.below(seed.length));
      const reader = new CaptureReader();
      const size = 1 + rng.below(200);
      let count = 0;
      for (let at = 0; at < bytes.length; at += size) {
        for (const packet of reader.push(bytes.subarray(at, at + size))) {
          count++;
          void packet.options;
          if (packet.data.length > packet.originalLength) throw new Error('longer than it was');
          if (!(packet.nanos >= 0 && packet.nanos < 1e9)) throw new Error(`nanos ${packet.nanos}`);
        }
      }
      reader.end();
      expect(reader.packets).toBe(count);
      if (reader.error) failed++;
    }
    expect(failed).toBeGreaterThan(1000);
  });
});

describe('streams', () => {
  async function* chunks(bytes: Uint8Array, size: number) {
    for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
  }

  async function collect(source: Chunks) {
    const packets: CapturedPacket[] = [];
    let error: unknown;
    try {
      for await (const batch of readCapture(source)) packets.push(...batch);
    } catch (thrown) {
      error = thrown;
    }
    return { packets, error };
  }

  const many = [...mixedPackets(new Rng(1))];
  const raw = pcapng({}, many);

  test.each([1, 3, 1000, 65_536])('gzip in chunks of %i bytes', async (size) => {
    const { packets, error } = await collect(chunks(new Uint8Array(gzipSync(raw)), size));
    expect(error).toBeUndefined();
    expect(packets.length).toBe(many.length);
    expect(packets.at(-1)!.data).toEqual(many.at(-1)!.data);
  });

  test.each([1, 1000, 65_536])('plain in chunks of %i bytes', async (size) => {
    const { packets, error } = await collect(chunks(raw, size));
    expect(error).toBeUndefined();
    expect(packets.length).toBe(many.length);
  });

  test('an array of chunks will do, and an empty one is an error', async () => {
    expect((await collect([raw])).packets.length).toBe(many.length);
    expect((await collect([])).error).toMatchObject({ message: 'packet 1 at byte 0: the capture is empty' });
  });

  test('a cut capture gives its packets, then the error', async () => {
    const { packets, error } = await collect(chunks(raw.subarray(0, raw.length - 5), 1000));
    expect(packets.length).toBe(many.length - 1);
    expect(error).toBeInstanceOf(CaptureError);
  });

  test('cut gzip data gives packets, then an error that names gzip', async () => {
    const rng = new Rng(3);
    const noise = Array.from({ length: 500 }, () => ({
      data: Uint8Array.from({ length: 1000 }, () => rng.below(256)),
    }));
    const zipped = new Uint8Array(gzipSync(pcap({}, noise)));
    const { packets, error } = await collect(chunks(zipped.subarray(0, zipped.length - 100_000), 4096));
    expect(packets.length).toBeGreaterThan(300);
    expect(packets.length).toBeLessThan(401);
    expect(error).toBeInstanceOf(CaptureError);
    expect((error as Error).message).toMatch(new RegExp(`^packet ${packets.length + 1} at byte \\d+: the gzip data`));
  });

  test('damaged gzip data is an error that names gzip', async () => {
    const zipped = new Uint8Array(gzipSync(raw));
    zipped.fill(0xff, 200, 260);
    const { error } = await collect(chunks(zipped, 100));
    expect(error).toBeInstanceOf(CaptureError);
    expect((error as Error).message).toMatch(/gzip/);
  });

  test('damage inside intact gzip data is told as what it is', async () => {
    const bytes = pcap();
    new DataView(bytes.buffer).setUint32(24 + 90 + 8, 0xffff_0000, true);
    const { packets, error } = await collect([new Uint8Array(gzipSync(bytes))]);
    expect(packets.length).toBe(1);
    expect((error as Error).message).toMatch(/packet 2 at byte 114: captured length 4294901760/);
  });

  test('an error of the source comes through as it is', async () => {
    async function* failing() {
      yield raw.slice(0, 100);
      throw new Error('disk on fire');
    }
    expect((await collect(failing())).error).toMatchObject({ message: 'disk on fire' });
  });

  test('a reader who stops early stops the source', async () => {
    let stopped = false;
    async function* endless() {
      try {
        for (;;) yield raw.slice();
      } finally {
        stopped = true;
      }
    }
    for await (const batch of readCapture(endless())) {
      expect(batch.length).toBeGreaterThan(0);
      break;
    }
    expect(stopped).toBe(true);
  });
});

describe('tshark reads what we write', () => {
  const missing = spawnSync('tshark', ['--version']).error !== undefined;

  test.for([true, false])(
    'verdicts, queues, ids, comments and interface names, little endian %s',
    (littleEndian, ctx) => {
      if (missing) ctx.skip('tshark is not installed');
      const writer = new PcapngWriter({ littleEndian, application: 'bpflab' });
      const id = writer.addInterface({ name: captureName('eth0', 'xdp_fw', 'entry') });
      const options: PacketOptions = {
        packetId: 42n,
        queue: 3,
        comments: ['dropped here'],
        verdicts: [{ by: 'xdp', value: 1 }],
      };
      writer.write({ seconds: 1_700_000_000, nanos: 123_456_789, data: records[0]!.data, interfaceId: id, options });
      const folder = mkdtempSync(join(tmpdir(), 'bpflab-'));
      try {
        const file = join(folder, 'x.pcapng');
        writeFileSync(file, concat(writer.finish()));
        const names = [
          'frame.interface_name',
          'frame.time_epoch',
          'frame.packet_id',
          'frame.interface_queue',
          'frame.verdict.ebpf_xdp',
          'frame.comment',
        ];
        const args = ['-r', file, '-T', 'fields', ...names.flatMap((name) => ['-e', name])];
        const line = execFileSync('tshark', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
        expect(line.trim().split('\t')).toEqual([
          'eth0:xdp_fw()@entry',
          '1700000000.123456789',
          '42',
          '3',
          '1',
          'dropped here',
        ]);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );
});
