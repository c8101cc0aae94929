import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { BpfError, createLab, eth, type Lab, LoadError, MapError, rawProgram } from '../../src/index.ts';
import { assemble } from '../../src/vm/isa/assemble.ts';
import { encodeProgram } from '../../src/vm/isa/encode.ts';

const object = (name: string) => readFileSync(new URL(`../../progs/${name}.bpf.o`, import.meta.url));
const frame = (dst = '10.0.0.2', payload = 'hello') =>
  eth({ src: '02:00:00:00:00:01', dst: '02:00:00:00:00:02' })
    .ip4({ src: '10.0.0.1', dst, ttl: 64 })
    .udp({ sport: 4000, dport: 53 })
    .payload(payload)
    .build();

let lab: Lab;
beforeEach(() => {
  lab = createLab({ memory: 128 << 20 });
});

describe('objects in a lab', () => {
  test('a program runs on a packet and its maps read as plain objects', () => {
    const firewall = lab.load(object('firewall'));
    const result = firewall.prog('firewall').run(frame());
    expect(result.verdict).toBe('XDP_PASS');
    expect(result.insns).toBeGreaterThan(50);
    expect(result.data).toEqual(frame());
    expect([...firewall.map('flows').entries({ present: true })]).toEqual([
      [
        { addr: ['10.0.0.1', '10.0.0.2'], port: ['4000', '53'], protocol: 17 },
        { packets: 1n, bytes: 47n },
      ],
    ]);
  });

  test('a map set by its C fields decides what the program does', () => {
    const firewall = lab.load(object('firewall'));
    firewall.map('blocked').set({ bits: 24, addr: '10.0.0.0' }, 0);
    expect(firewall.prog('firewall').run(frame()).verdict).toBe('XDP_DROP');
  });

  test('per-CPU values come as one per CPU, and runs count on their CPU', () => {
    const counter = lab.load(object('parse_count'));
    const program = counter.prog('parse_count');
    program.run(frame(), { cpu: 1 });
    program.run(frame(), { cpu: 1 });
    program.run(frame(), { cpu: 0 });
    const map = counter.maps.find((candidate) => candidate.perCpu)!;
    const busy = [...map.entries()].filter(([, values]) => JSON.stringify(values, bigintText) !== '[]');
    const packets = busy.map(([, values]) => (values as { packets: bigint }[]).map((value) => value.packets));
    expect(packets).toContainEqual([1n, 2n]);
  });

  test('global data is there, and .rodata is frozen for user space', () => {
    const globals = lab.load(object('globals'));
    expect(globals.prog('globals').run(frame()).verdict).toBe('XDP_PASS');
    const bss = globals.maps.find((map) => map.name.endsWith('.bss'))!;
    expect(bss.get(0)).toMatchObject({ packets: 1n, bytes: 47n });
    const rodata = globals.maps.find((map) => map.name.endsWith('.rodata'))!;
    expect(() => rodata.set(0, new Uint8Array(rodata.map.valueSize))).toThrow(/EPERM/);
  });

  test('tail calls go through the program array that the object fills', () => {
    const chain = lab.load(object('tail_calls'));
    expect(chain.prog('classify').run(frame()).verdict).toBe(chain.prog('handle_udp').run(frame()).verdict);
  });

  test('a redirect says where it points', () => {
    const redirect = lab.load(object('devmap_egress'));
    redirect.map('tx_port').update(new Uint8Array(4), Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
    const { verdict, redirect: target } = redirect.prog('xdp_redirect').run(frame());
    expect(verdict).toBe('XDP_REDIRECT');
    expect(target).toMatchObject({ map: 'tx_port' });
  });

  test('a devmap egress program runs alone', () => {
    const result = lab
      .load(object('devmap_egress'))
      .prog('xdp_egress')
      .run(frame(), { ctx: { egress_ifindex: 1 } });
    expect(result.verdict).toBe('XDP_PASS');
    expect([...result.data.subarray(6, 12)]).toEqual([2, 0, 0, 0, 0, 1]);
  });

  test('ring buffer and perf events are taken in order', () => {
    const ring = lab.load(object('ringbuf_events'));
    const open = (sport: number) =>
      eth().ip4({ src: '10.0.0.1', dst: '10.0.0.2' }).tcp({ sport, dport: 80, flags: 'S' }).build();
    for (const sport of [1111, 2222]) ring.prog('ringbuf_events').run(open(sport));
    const ringbuf = ring.maps.find((map) => map.type === 'ringbuf')!;
    const ports = ringbuf.takeEvents().map(({ data }) => new DataView(data.buffer).getUint16(12));
    expect(ports).toEqual([1111, 2222]);
    expect(ringbuf.takeEvents()).toEqual([]);

    const perf = lab.load(object('perf_events'));
    const events = perf.maps.find((map) => map.type === 'perf_event_array')!;
    events.openEvents();
    perf.prog('perf_events').run(frame(), { cpu: 1 });
    const [sample] = events.takeEvents();
    expect(sample!.cpu).toBe(1);
    expect(sample!.data.length).toBeGreaterThan(14);
  });

  test('the same seed gives the same run, byte for byte', () => {
    const once = () => {
      const fresh = createLab({ memory: 128 << 20, seed: 7 });
      const spread = fresh.load(object('l4lb'));
      return [spread.prog('l4lb').run(frame()), [...spread.maps.flatMap((map) => [...map.rawEntries()])]];
    };
    expect(once()).toEqual(once());
  });

  test('a program without ELF comes as instructions and a list of maps', () => {
    const insns = encodeProgram(
      assemble(`
        *(u32 *)(r10 -4) = 1
        r1 = map[idx:0]
        r2 = r10
        r2 += -4
        call bpf_map_lookup_elem#1
        if r0 == 0 goto +1
        r0 = *(u32 *)(r0 +0)
        exit`),
    );
    const raw = lab.loadSpec(
      rawProgram({
        name: 'probe',
        type: 'xdp',
        license: 'GPL',
        insns,
        maps: [{ name: 'values', type: 'array', keySize: 4, valueSize: 4, maxEntries: 2 }],
      }),
    );
    raw.map('values').set(1, 77);
    expect(raw.prog('probe').run(frame()).retval).toBe(77);
  });
});

describe('mistakes', () => {
  test.each<[string, () => unknown, new (...args: never[]) => Error, RegExp]>([
    ['an unknown map', () => lab.load(object('firewall')).map('nope'), BpfError, /has no map nope; its maps: blocked/],
    [
      'an unknown program',
      () => lab.load(object('vlan')).prog('nope'),
      BpfError,
      /has no program nope; its programs: vlan_/,
    ],
    [
      'an unknown map to resize',
      () => lab.load(object('vlan'), { maxEntries: { nope: 1 } }),
      BpfError,
      /has no map nope/,
    ],
    ['65 CPUs', () => createLab({ cpus: 65 }), BpfError, /65 CPUs: a lab has 1 to 64/],
    [
      'no such CPU',
      () => lab.load(object('vlan')).prog('vlan_pop').run(frame(), { cpu: 5 }),
      BpfError,
      /there is no CPU 5.*CPUs are 0 to 1/,
    ],
    ['no ELF', () => lab.load(Uint8Array.of(1, 2, 3)), LoadError, /not a proper ELF object/],
    [
      'a map that does not fit the memory',
      () => lab.load(object('spin_lock'), { maxEntries: { buckets: 100_000_000 } }),
      MapError,
      /map buckets .*max_entries 100000000.*ENOMEM/,
    ],
    ['a key of the wrong shape', () => lab.load(object('firewall')).map('flows').get({ nope: 1 }), MapError, /nope/],
    [
      'a value of the wrong size',
      () => lab.load(object('firewall')).map('blocked').set(new Uint8Array(8), new Uint8Array(3)),
      MapError,
      /blocked value has 8 bytes, not 3/,
    ],
  ])('%s', (_name, body, type, message) => {
    expect(body).toThrow(type);
    expect(body).toThrow(message);
  });

  test('a fault names program, instruction and C line, and the next packet runs', () => {
    const insns = encodeProgram(assemble('r1 = *(u32 *)(r1 +0)\nr0 = *(u8 *)(r1 +60)\nexit'));
    const raw = lab.loadSpec(rawProgram({ name: 'reads60', type: 'xdp', insns }));
    expect(() => raw.prog('reads60').run(frame())).toThrow(
      /^reads60: insn 1: read of 1 byte .*offset 60 of packet|past the end of packet \(47 bytes/,
    );
    expect(raw.prog('reads60').run(frame('10.0.0.9', 'x'.repeat(40))).insns).toBe(3);
  });

  test('[L-048] a GPL-only helper needs a compatible license', () => {
    const insns = encodeProgram(assemble('*(u64 *)(r10 -8) = 0\nr1 = r10\nr1 += -8\nr2 = 1\ncall 6\nr0 = 2\nexit'));
    const prints = (license: string) =>
      lab.loadSpec(rawProgram({ name: 'prints', type: 'xdp', license, insns })).prog('prints');
    expect(() => prints('MIT').run(frame())).toThrow(LoadError);
    expect(() => prints('MIT').run(frame())).toThrow(
      /insn 4: cannot call GPL-restricted function from non-GPL compatible program/,
    );
    expect(prints('Dual MIT/GPL').run(frame()).retval).toBe(2);
  });

  test('an element that is not there reads as undefined, and deletes as false', () => {
    const map = lab.load(object('spin_lock')).map('buckets');
    expect(map.get('10.9.9.9')).toBeUndefined();
    expect(map.delete('10.9.9.9')).toBe(false);
  });
});

function bigintText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}` : value;
}
