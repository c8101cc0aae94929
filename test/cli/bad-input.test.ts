import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { bpflab, jsonLines } from './harness.ts';

const dir = mkdtempSync(join(tmpdir(), 'bpflab-bad-'));
afterAll(() => rmSync(dir, { recursive: true }));
const file = (name: string, contents: string | Uint8Array) => {
  writeFileSync(join(dir, name), contents);
  return join(dir, name);
};
const bytesOf = (path: string) => new Uint8Array(readFileSync(path));

const OBJECT = 'progs/parse_count.bpf.o';
const SYN = 'progs/captures/syn.pcap';
const object = bytesOf(OBJECT);
const capture = bytesOf(SYN);
const HEX = '02000000000202000000000188b5'.padEnd(120, '0');

/** Changes the imm of the first call of a helper (opcode 85, src 0). */
function withHelper(id: number): Uint8Array {
  const changed = object.slice();
  const view = new DataView(changed.buffer);
  for (let at = 64; at + 8 <= changed.length; at += 8) {
    if (view.getUint32(at, true) === 0x85 && view.getUint32(at + 4, true) === 1) {
      view.setUint32(at + 4, id, true);
      return changed;
    }
  }
  throw new Error('no call found');
}

/** `int pass(void *c) { return 2; }` in section xdp, compiled with -target bpfeb. */
const BIG_ENDIAN =
  'H4sIAAAAAAACA6t39XFjYmJkgANGhu9gEju4ACYdoCQbA+N2iDjTVKgC9wAfBgKAXYiBgRlNTACEBRkYWNDEWRj0SlIrShgKEouLGSpSChhyGHIy' +
  'k1PzilMZ9IpLikoSk4B0ZS6IphqQYsB0HwwsgNJaaOKMaGwYnw1NnQMOc5H9zUOEfgE0cQ4kthCSfnR/BGCxD939SqD4xOHOCCjtgeZPmP0SAMd3' +
  'LMlQAgAA';
const bigEndian = () => Uint8Array.from(gunzipSync(Buffer.from(BIG_ENDIAN, 'base64') as unknown as Uint8Array));

const COMMANDS = ['inspect', 'disasm', 'run'] as const;

describe('objects that cannot be loaded: exit code 3, one line on standard error', () => {
  const rows: [string, string | Uint8Array, RegExp][] = [
    ['not an ELF file', 'hello, this is text and long enough to be looked at as a header of an object file...', /ELF/],
    ['an empty file', '', /ELF/],
    ['an object cut in the middle', object.slice(0, object.length >> 1), /bad\.o/],
    ['an object without its last byte', object.slice(0, -1), /bad\.o/],
    ['an object for another machine', object.slice().fill(62, 18, 19), /bad\.o/],
  ];
  for (const command of COMMANDS) {
    test.each(rows)(`${command}: %s`, async (_name, contents, message) => {
      const { code, out, err } = await bpflab([command, file('bad.o', contents)], { stdin: HEX });
      expect(err).toMatch(message);
      expect(err.trimEnd().split('\n')).toHaveLength(1);
      expect(err).not.toContain(' at ');
      expect([code, out]).toEqual([3, '']);
    });
    test(`${command}: a file that is not there`, async () => {
      const { code, err } = await bpflab([command, 'no-such.o'], { stdin: HEX });
      expect([code, err]).toEqual([3, 'bpflab: no-such.o: no such file\n']);
    });
  }

  test('a directory in place of an object', async () => {
    expect(await bpflab(['inspect', 'progs'])).toMatchObject({ code: 3, err: 'bpflab: progs: it is a directory\n' });
  });

  test('a big-endian object', async () => {
    const { code, err } = await bpflab(['run', file('be.o', bigEndian())], { stdin: HEX });
    expect(code).toBe(3);
    expect(err).toBe(
      "bpflab: be.o: object 'be': loading non-native endianness is unsupported; compile with --target=bpfel\n",
    );
  });

  test('a big-endian object can be looked at', async () => {
    const { code, out } = await bpflab(['inspect', file('be.o', bigEndian())]);
    expect(code).toBe(0);
    expect(out).toContain('warning  big-endian: it can be shown, but not loaded');
    expect((await bpflab(['disasm', file('be.o', bigEndian())])).out).toContain('(b7) r0 = 2');
  });

  test('a helper that no kernel has', async () => {
    const { code, err } = await bpflab(['run', file('h.o', withHelper(9999)), '--in', HEX]);
    expect(code).toBe(3);
    expect(err).toMatch(/^bpflab: parse_count: insn \d+ \(progs\/parse_count.bpf.c:50\): invalid func unknown#9999\n$/);
  });

  test('a helper that the lab does not have is named, by inspect too', async () => {
    const path = file('h.o', withHelper(77));
    const { code, err } = await bpflab(['run', path, '--in', HEX]);
    expect(code).toBe(3);
    expect(err).toContain('bpf_rc_repeat#77 is not available to xdp programs here');
    expect((await bpflab(['inspect', path])).out).toContain('cannot run here, for want of bpf_rc_repeat');
  });

  test('a map that is too large for the machine', async () => {
    const { code, err } = await bpflab(['run', OBJECT, '--in', HEX, '--max-entries', 'protocols=4000000000']);
    expect(code).toBe(3);
    expect(err).toContain('map protocols');
  });
});

describe('wrong usage: exit code 2', () => {
  const run = ['run', OBJECT];
  test.each<[string, string[], RegExp]>([
    ['no command', [], /Usage: bpflab/],
    ['a command that is not there, with a suggestion', ['inspct'], /Did you mean inspect\?/],
    ['an option that is not there, with a suggestion', ['run', OBJECT, '--limt', '3'], /Did you mean --limit\?/],
    ['no object', ['run'], /missing required argument 'obj'/],
    [
      'two programs and no -s',
      ['run', 'progs/vlan.bpf.o', '--in', HEX],
      /vlan has 2 programs; choose one with -s: vlan_push \(xdp\), vlan_pop/,
    ],
    [
      'a section with several programs',
      ['run', 'progs/vlan.bpf.o', '-s', 'xdp', '--in', HEX],
      /section xdp has 2 programs/,
    ],
    [
      'a section that is not there',
      [...run, '-s', 'tc', '--in', HEX],
      /no program or section 'tc'; there is parse_count \(xdp\)/,
    ],
    ['disasm of a section that is not there', ['disasm', OBJECT, '-s', 'tc'], /no program or section 'tc'/],
    ['no packets', run, /standard input is a terminal; give --in/],
    ['a capture that is not there', [...run, '--in', 'no-such.pcap'], /no such file, nor bytes in hex/],
    ['half a byte of hex', [...run, '--in', 'abc'], /no such file, nor bytes in hex/],
    ['an engine of later', [...run, '--engine', 'jit'], /jit comes in a later version/],
    ['an engine that is not there', [...run, '--engine', 'x'], /There is: interp/],
    ['no number', [...run, '--limit', 'many'], /whole number, 0 or more/],
    ['too many CPUs', [...run, '--cpus', '65'], /1 to 64/],
    ['a CPU that is not there', [...run, '--cpu', '2', '--in', HEX], /--cpu 2: the machine has 2 CPUs/],
    ['a context field without value', [...run, '--in', HEX, '--ctx', 'data'], /NAME=VALUE/],
    ['a context field that is no number', [...run, '--in', HEX, '--ctx', 'data=x'], /'x' is not a number/],
    [
      'a context field that is not there',
      [...run, '--in', HEX, '--ctx', 'mark=1'],
      /struct xdp_md has no such field; its fields: data,/,
    ],
    [
      'a context field that does not fit',
      ['run', 'progs/tc_classify.bpf.o', '--in', SYN, '--ctx', 'mark=99999999999'],
      /--ctx mark: 99999999999 does not fit 32 bits/,
    ],
    [
      'too many numbers for a context field',
      ['run', 'progs/tc_classify.bpf.o', '--in', SYN, '--ctx', 'mark=1,2'],
      /--ctx mark: it takes one number, not 2/,
    ],
    [
      'records of a map that has none',
      ['run', 'progs/ringbuf_events.bpf.o', '--in', SYN, '--event', 'nosuch=event'],
      /no such ring buffer or perf event array; there is: events/,
    ],
    [
      'records of an array',
      [...run, '--in', HEX, '--event', 'protocols=counter'],
      /no such ring buffer or perf event array; there is: none/,
    ],
    ['no entries', [...run, '--in', HEX, '--max-entries', 'protocols=0'], /protocols=0: it has to be .* 4294967295$/m],
    ['an output that is a directory', [...run, '--in', HEX, '--out', 'progs'], /--out progs: it is a directory$/m],
    ['a map that is not there', [...run, '--in', HEX, '--map', 'flows=x.json'], /no such map; its maps: protocols/],
    ['a map file that is not there', [...run, '--in', HEX, '--map', 'protocols=x.json'], /x.json: no such file/],
    ['a map file that is no JSON', [...run, '--in', HEX, '--map', `protocols=${SYN}`], /not JSON/],
    ['an unknown word', [...run, 'data', 'x'], /unexpected 'data'; words here are data_in/],
    ['a word without value', [...run, 'data_in'], /'data_in' needs a value/],
    ['data_in and --in', [...run, '--in', HEX, 'data_in', SYN], /both --in and data_in/],
    ['repeat that is no number', [...run, '--in', HEX, 'repeat', 'x'], /repeat x: /],
    [
      'an output that cannot be written',
      [...run, '--in', HEX, '--out', '/no/such/dir/x.pcap'],
      /--out \/no\/such\/dir/,
    ],
    ['features of something else', ['features', 'maps', 'x'], /too many arguments/],
    ['features of a kind that is not there', ['features', 'map'], /Allowed choices are instructions, helpers/],
  ])('%s', async (_name, args, message) => {
    const { code, out, err } = await bpflab(args);
    expect(err).toMatch(message);
    expect([code, out]).toEqual([2, '']);
    expect(err).not.toMatch(/\n\s+at /);
  });

  test('object and packets both from standard input', async () => {
    const { code, err } = await bpflab(['run', '-'], { stdin: object });
    expect([code, err]).toEqual([2, 'bpflab: object and packets cannot both come from standard input\n']);
  });

  test('text that is neither a capture nor hex, with its line', async () => {
    const { code, err } = await bpflab(['run', OBJECT], { stdin: `${HEX}\nzz\n` });
    expect([code, err]).toEqual([2, 'bpflab: line 2 of the input is neither a capture nor bytes in hex\n']);
  });

  test('a device index that does not fit 32 bits', async () => {
    for (const ifindex of [-1, 2 ** 32]) {
      const path = file('m.json', JSON.stringify({ 0: ifindex }));
      const args = ['run', 'progs/devmap_egress.bpf.o', '-s', 'xdp_redirect', '--in', HEX, '--map', `tx_port=${path}`];
      expect(await bpflab(args)).toMatchObject({ code: 2, err: expect.stringContaining('an entry is a number or') });
    }
  });

  test('map entries that do not fit their type', async () => {
    const run = (json: string) =>
      bpflab(['run', 'progs/firewall.bpf.o', '--in', HEX, '--map', `blocked=${file('m.json', json)}`]);
    for (const [json, message] of [
      ['[{"key": {"bits": 24, "adr": "10.0.0.0"}, "value": 0}]', "blocked key: there is no member 'adr'"],
      ['[{"key": {"bits": 24}, "value": "x"}]', 'blocked value'],
      ['[{"key": {"bits": 33}, "value": 1}]', 'map blocked'],
      ['[1]', 'neither {"key": ..., "value": ...} nor [key, value]'],
      ['1', 'an object or an array of entries'],
    ] as const) {
      const { code, err } = await run(json);
      expect(err).toContain(message);
      expect(code).toBe(2);
    }
  });
});

describe('packets that cannot be run: exit code 1, the others are run', () => {
  test('a truncated capture: what was read counts, the error names the packet', async () => {
    const { code, out, err } = await bpflab(['run', OBJECT, '--in', file('cut.pcap', capture.slice(0, 500))]);
    expect(code).toBe(1);
    expect(out).toMatch(/^(\d+) packets: \1 pass$/m);
    const count = Number(/^(\d+) packets/m.exec(out)![1]);
    expect(count).toBeGreaterThan(2);
    expect(err).toContain(`packet ${count + 1} at byte`);
  });

  test('standard input that is no capture', async () => {
    const { code, out, err } = await bpflab(['run', OBJECT], { stdin: 'GIF89a and so on' });
    expect(code).toBe(1);
    expect(err).toContain('neither pcap nor pcapng');
    expect(out).toBe('0 packets\n');
  });

  test('an empty input', async () => {
    expect(await bpflab(['run', OBJECT], { stdin: '' })).toMatchObject({ code: 1, out: '0 packets\n' });
  });

  test.each([
    ['too short', 'parse_count', '0102030405', 'shorter than an Ethernet header'],
    ['too long for a test run', 'parse_count', '00'.repeat(80_000), 'more than 17 fragments'],
    ['too long for an skb', 'tc_classify', '00'.repeat(4000), 'longer than'],
    ['cut inside its IP header', 'tc_classify', '02000000000202000000000108004500', 'ends inside its IPv4 header'],
  ])('a packet %s', async (_name, program, hex, message) => {
    const { code, out, err } = await bpflab(['run', `progs/${program}.bpf.o`], { stdin: `${HEX}\n${hex}\n${HEX}\n` });
    expect(code).toBe(1);
    expect(err).toMatch(/^bpflab: packet 2: (parse_count|classify): /);
    expect(err).toContain(message);
    expect(out).toMatch(/^3 packets: 2 \w+, 1 refused$/m);
  });

  test('a capture of something else than Ethernet', async () => {
    const raw = capture.slice();
    new DataView(raw.buffer).setUint32(20, 101, true);
    const { code, out, err } = await bpflab(['run', OBJECT], { stdin: raw });
    expect(code).toBe(1);
    expect(out).toContain('12 packets: 12 refused');
    expect(err).toContain('link type 101 is not Ethernet; programs see Ethernet frames');
  });

  test('many messages are counted, not printed', async () => {
    const { err } = await bpflab(['run', OBJECT], { stdin: '0102\n'.repeat(50) });
    expect(err.trimEnd().split('\n')).toHaveLength(21);
    expect(err).toContain('... and 30 more messages like these');
  });
});

describe('a program that faults: exit code 1, told with its instruction and C line', () => {
  /** Makes `if (data + 14 > end)` never true: the program reads beyond short packets. */
  function careless(): Uint8Array {
    const changed = object.slice();
    for (let at = 64; at + 8 <= changed.length; at += 8) {
      // if r1 > r6 goto ...
      if (changed[at] === 0x2d) changed.set([0x05, 0, 0, 0], at);
    }
    return changed;
  }

  test('the next packets are run all the same', async () => {
    const arp = '020000000002020000000001080045';
    const stdin = `${HEX}\n${arp}\n${HEX}\n`;
    const { code, out, err } = await bpflab(['run', file('careless.o', careless())], { stdin });
    expect(code).toBe(1);
    expect(err).toMatch(/packet 2: parse_count: insn \d+ \(progs\/parse_count\.bpf\.c:23\): read of 2 bytes at 0x/);
    expect(out).toMatch(/^2 .* FAULT +- +-$/m);
    expect(out).toContain('3 packets: 2 pass, 1 fault');
    const json = await bpflab(['run', file('careless.o', careless()), '-j'], { stdin });
    expect(jsonLines(json.out)[1]).toMatchObject({ pkt: 2, fault: expect.stringContaining('read of 2 bytes') });
    expect(jsonLines(json.out)[1]).not.toHaveProperty('verdict');
  });
});

describe('our own faults: exit code 4, with a reproducer', () => {
  const before = process.cwd();
  const repros = () => readdirSync('.').filter((name) => name.startsWith('bpflab-repro-'));
  afterEach(() => process.chdir(before));

  test('an unexpected error', async () => {
    const path = join(before, OBJECT);
    process.chdir(dir);
    const { code, err } = await bpflab(['run', path], { stdin: new TypeError('x is undefined') });
    expect(code).toBe(4);
    const [name] = repros();
    expect(err).toContain('internal error: TypeError: x is undefined');
    expect(err).toContain(`this is our fault, not yours; please report it with ${name}`);
    expect(err).not.toMatch(/\n\s+at /);
    expect(JSON.parse(readFileSync(name!, 'utf8'))).toMatchObject({ args: ['run', path], error: 'x is undefined' });
  });
});

describe('interruption', () => {
  test('Ctrl-C ends with what was done so far and 130', async () => {
    const stop = new AbortController();
    stop.abort();
    const { code, out } = await bpflab(['run', OBJECT], { stdin: capture, signal: stop.signal });
    expect(code).toBe(130);
    expect(out).toContain('12 packets: 12 pass (interrupted)');
  });
});
