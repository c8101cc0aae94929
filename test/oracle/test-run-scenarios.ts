import { unhex, viewOf } from './libc.ts';
import { SMALL_PACKETS } from './packets.ts';
import { assembled, I, insn, type RawProgram, rawSpec } from './raw-spec.ts';
import type { Scenario } from './scenario.ts';
import type { RunInput } from './subject.ts';

/** An Ethernet frame with a pattern, and a number at offset 14 for the program to read. */
function frame(size: number, number = 0): Uint8Array {
  const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 7 + 1) & 0xff);
  bytes.set(unhex('02000000000202000000000188b5').subarray(0, Math.min(size, 14)));
  if (size >= 18) viewOf(bytes).setInt32(14, number, true);
  return bytes;
}

/** Calls `helper(ctx, number at packet offset 14)` and returns what it gave; 99 where the packet is too short. */
function callWithDelta(name: string, helper: number): RawProgram {
  return {
    name,
    type: 'xdp',
    insns: assembled(
      I.movReg(6, 1),
      I.load(32, 2, 1, 0),
      I.load(32, 3, 1, 4),
      I.movReg(4, 2),
      I.add(4, 18),
      I.mov(0, 99),
      I.ifGreater(4, 3, 5),
      I.load(32, 2, 2, 14),
      insn(0x67, 2, 0, 0, 32), // r2 <<= 32
      insn(0xc7, 2, 0, 0, 32), // r2 s>>= 32
      I.movReg(1, 6),
      I.call(helper),
      I.exit(),
    ),
  };
}

const deltas = [0, 1, 2, 3, 4, 8, 14, 20, 32, 50, 51, 86, 87, 100, 200, 212, 215, 216, 217, 220, 252, 256, 257, 1000];

function deltaInputs(): RunInput[] {
  return [18, 64, 100, 1500, 3500, 3520].flatMap((size) =>
    deltas.flatMap((delta) => [delta, -delta].map((number) => ({ data: frame(size, number) }))),
  );
}

const PASS: RawProgram = { name: 'pass', type: 'xdp', insns: assembled(I.mov(0, 2), I.exit()) };

/** (data_end - data) | (data - data_meta) << 16 | rx_queue_index << 28 */
const LAYOUT: RawProgram = {
  name: 'layout',
  type: 'xdp',
  insns: assembled(
    I.load(32, 2, 1, 0),
    I.load(32, 0, 1, 4),
    I.load(32, 3, 1, 8),
    insn(0x1f, 0, 2), // r0 -= r2
    insn(0x1f, 2, 3), // r2 -= r3
    insn(0x67, 2, 0, 0, 16),
    insn(0x4f, 0, 2), // r0 |= r2
    I.load(32, 3, 1, 16),
    insn(0x67, 3, 0, 0, 28),
    insn(0x4f, 0, 3),
    I.exit(),
  ),
};

function xdpMd(
  data: number,
  dataEnd: number,
  rest: { meta?: number; ifindex?: number; queue?: number; egress?: number } = {},
) {
  const ctx = new Uint8Array(24);
  [data, dataEnd, rest.meta ?? 0, rest.ifindex ?? 0, rest.queue ?? 0, rest.egress ?? 0].forEach((word, i) => {
    // struct xdp_md begins with data, data_end, data_meta
    viewOf(ctx).setUint32(i * 4, word, true);
  });
  return ctx;
}

function xdpContexts(): RunInput[] {
  const data = frame(300);
  return [
    ...[0, 1, 2, 4, 5, 8, 28, 32, 36, 64, 128, 216, 220, 252, 256, 284, 286, 288, 300, 304].map((meta) =>
      xdpMd(meta, 300),
    ),
    ...[0, 13, 14, 100, 299, 301].map((end) => xdpMd(0, end)),
    xdpMd(4, 300, { meta: 4 }),
    xdpMd(0, 300, { meta: 1 }),
    xdpMd(0, 300, { ifindex: 1 }),
    xdpMd(0, 300, { ifindex: 1, queue: 1 }),
    xdpMd(0, 300, { ifindex: 1, queue: 9 }),
    xdpMd(0, 300, { queue: 1 }),
    xdpMd(0, 300, { ifindex: 4242 }),
    xdpMd(0, 300, { egress: 1 }),
    xdpMd(0, 300).subarray(0, 20),
    xdpMd(0, 300).subarray(0, 8),
    Uint8Array.from([...xdpMd(0, 300), ...new Array<number>(8).fill(0)]),
  ].map((ctx) => ({ data, ctx: ctx.slice() }));
}

const SIZES = [1, 13, 14, 15, 33, 34, 53, 54, 60, 1500, 3519, 3520, 3521, 3776, 3777, 4096, 9000, 60000, 70000, 80000];

/** struct __sk_buff by 4-byte words, without pointers: data, data_end, data_meta, flow_keys, sk. */
const SKB_WORDS = Array.from({ length: 48 }, (_, i) => i * 4).filter(
  (offset) => ![76, 80, 140, 144, 148, 168, 172, 152, 156, 184, 188].includes(offset),
);

// Without cgroup_skb, whose programs may return 0 to 3 only.
const SKB_TYPES = ['sched_cls', 'sched_act', 'socket_filter', 'lwt_in', 'lwt_out', 'lwt_xmit'] as const;

function readField(type: (typeof SKB_TYPES)[number], offset: number, bits: 32 | 64): RawProgram {
  return { name: `${type}_${offset}`, type, insns: assembled(I.load(bits, 0, 1, offset), I.exit()) };
}

/** One context for each byte group of __sk_buff set to 1, and some combinations. */
function skbContexts(): RunInput[] {
  const sweep = Array.from({ length: 48 }, (_, i) => {
    const ctx = new Uint8Array(192);
    ctx[i * 4] = 1;
    return ctx;
  });
  const words = (...pairs: readonly (readonly [number, number])[]) => {
    const ctx = new Uint8Array(192);
    for (const [offset, value] of pairs) viewOf(ctx).setUint32(offset, value, true);
    return ctx;
  };
  return [
    ...sweep,
    words([8, 0x1234], [32, 7], [48, 1], [52, 2], [56, 3], [60, 4], [64, 5]),
    words([40, 4242]),
    words([160, 94]),
    words([160, 93]),
    words([160, 65536]),
    words([160, 65537]),
    words([164, 3], [176, 500]),
    words([164, 65535]),
    words([164, 65536]),
    words([152, 0xffffffff], [156, 1]),
    words([184, 5]),
    words([8, 1]).subarray(0, 12),
    Uint8Array.from([...words([8, 1]), ...new Array<number>(8).fill(0)]),
  ].map((ctx) => ({ data: SMALL_PACKETS[0]!, ctx: ctx.slice() }));
}

/** mark + priority + cb[0] + gso_size and a write to each: what goes in, and what comes out. */
const SKB_MARKS: RawProgram = {
  name: 'marks',
  type: 'sched_cls',
  insns: assembled(
    I.load(32, 0, 1, 8),
    I.load(32, 2, 1, 32),
    insn(0x0f, 0, 2),
    I.load(32, 2, 1, 48),
    insn(0x0f, 0, 2),
    I.load(32, 2, 1, 176),
    insn(0x0f, 0, 2),
    I.mov(2, 0x55),
    I.storeReg(32, 1, 8, 2),
    I.storeReg(32, 1, 32, 2),
    I.storeReg(32, 1, 64, 2),
    I.exit(),
  ),
};

/** Tests of BPF_PROG_TEST_RUN itself, by name; every subject must answer them alike. */
export const TEST_RUN_SCENARIOS: Readonly<Record<string, () => Scenario>> = {
  'xdp-adjust': () => ({
    spec: rawSpec([callWithDelta('head', 44), callWithDelta('tail', 65), callWithDelta('meta', 54)]),
    inputs: deltaInputs(),
  }),
  'xdp-repeat': () => ({
    spec: rawSpec([callWithDelta('head', 44), callWithDelta('tail', 65), PASS]),
    inputs: [0, 1, 2, 3, 5, 20].flatMap((repeat) => [-20, -4, 4].map((delta) => ({ data: frame(100, delta), repeat }))),
  }),
  'xdp-context': () => ({ spec: rawSpec([LAYOUT]), inputs: xdpContexts() }),
  'xdp-sizes': () => ({
    spec: rawSpec([PASS, LAYOUT, { ...LAYOUT, name: 'layout_frags', flags: 0x20 }]),
    inputs: SIZES.map((size) => ({ data: frame(size) })),
  }),
  'skb-sizes': () => ({
    spec: rawSpec(SKB_TYPES.map((type) => readField(type, 0, 32))),
    inputs: [
      ...[1, 13, 14, 15, 33, 60, 1500, 3500, 3520, 3700, 3710, 3712, 3713, 3776, 4000].map((size) => ({
        data: frame(size),
      })),
      ...[14, 33, 34, 54].flatMap((size) =>
        SMALL_PACKETS.slice(0, 3).map((packet) => ({ data: packet.slice(0, Math.min(size, packet.length)) })),
      ),
    ],
  }),
  'skb-fields': () => ({
    spec: rawSpec(
      SKB_TYPES.flatMap((type) => [
        ...SKB_WORDS.map((offset) => readField(type, offset, 32)),
        readField(type, 152, 64),
        readField(type, 184, 64),
      ]),
    ),
    inputs: SMALL_PACKETS.map((data) => ({ data })),
  }),
  'skb-context': () => ({ spec: rawSpec([SKB_MARKS]), inputs: skbContexts() }),
};
