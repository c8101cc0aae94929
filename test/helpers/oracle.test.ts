import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/base/rng.ts';
import { formatText } from '../../src/vm/helpers/format.ts';
import { ANSWERS_FROM, differences, kernelAnswer } from '../oracle/answers.ts';
import { interpreterSubject } from '../oracle/lab-subject.ts';
import { kernelSubject } from '../oracle/load.ts';
import { assembled, I, rawSpec } from '../oracle/raw-spec.ts';
import { canAnswer, recorded } from '../oracle/record.ts';
import type { Scenario } from '../oracle/scenario.ts';
import { anyNumber, CallProgram, pick, type Value } from './call-program.ts';
import { HelperBench } from './helper-bench.ts';

const ascii = (text: string) => new TextEncoder().encode(text);

function formats(seed: number): Scenario {
  const rng = new Rng(seed);
  const program = new CallProgram();
  for (let i = 0; i < 40; i++) {
    const args: Value[] = [];
    let format = '';
    let prepared = false;
    let readsOn = false;
    const count = rng.below(5);
    for (let n = 0; n < count; n++) {
      readsOn ||= prepared;
      format += pick(rng, ['', ' ', 'x=', '%%', '\t', 'é']);
      const width = pick(rng, ['', '', '5', '12', '0', '05', '-', '-7', '+', ' ', '+6', '- 8', '-09']);
      const kind = pick(rng, ['d', 'i', 'u', 'x', 'X', 'ld', 'lu', 'lx', 'lld', 'llu', 'llX', 'c', 's', 'p']);
      if (kind === 's') {
        args.push(rng.below(4) === 0 ? 0 : program.text(ascii(`${'string'.repeat(rng.below(40))}\0`)));
        format += `%${width}s${pick(rng, [' ', '.', '|'])}`;
      } else if (kind === 'p') {
        const pointer = pick(rng, ['px', 'pI4', 'pi4', 'pI6', 'pi6', 'pks', 'ps', 'pS', 'pB']);
        const text = program.text(Uint8Array.from({ length: 16 }, () => (rng.below(3) ? rng.below(200) : 0)));
        prepared ||= !['px', 'ps', 'pS'].includes(pointer);
        const small = pointer === 'px' || pointer === 'ps' || pointer === 'pS' || pointer === 'pB';
        args.push(small ? BigInt(rng.below(4096)) : text);
        // Letters behind a pointer conversion belong to it, %pks takes none.
        format += `%${pick(rng, ['', '20', '-20', '04'])}${pointer}${pointer === 'pks' ? ' ' : pick(rng, ['', '', 'z9', ':'])}`;
      } else {
        args.push(kind === 'c' ? 33 + rng.below(90) : anyNumber(rng));
        format += `%${width}${kind}${pick(rng, ['', 's', '1'])}`;
      }
    }
    args.forEach((value, n) => {
      program.push(-96 + 8 * n, value);
    });
    // With the output full, Linux goes on reading arguments in text that it passed over, and in what was there before.
    const size = readsOn ? 300 : pick(rng, [0, 1, 7, 64, 300]);
    const extra = args.length < 5 ? rng.below(2) : 0;
    if (extra) program.push(-96 + 8 * args.length, 7);
    const to = program.room(304);
    const data: Value = args.length + extra ? { area: 'stack', at: -96 } : 0;
    program.call(165, [to, size, program.constant(format), data, 8 * (args.length + extra)]);
  }
  return program.scenario();
}

const DIGITS = '0123456789abcdefxXABCDEF-+ \t';

function numbers(seed: number): Scenario {
  const rng = new Rng(seed);
  const program = new CallProgram();
  for (let i = 0; i < 150; i++) {
    let text = '';
    if (rng.below(3) === 0) {
      for (let n = rng.below(8); n >= 0; n--) text += pick(rng, [...DIGITS]);
    } else {
      text = pick(rng, ['', ' ', '\n ', '-', '+', ' -']) + pick(rng, ['', '', '0', '0x', '0X']);
      const base = pick(rng, [8, 10, 16]);
      text += (rng.below(2) ? BigInt.asUintN(pick(rng, [8, 32, 63, 64, 64]), anyNumber(rng)) : 2n ** 64n + 5n).toString(
        base,
      );
      text += pick(rng, ['', '', 'z', '9', '\0']);
      if (rng.below(12) === 0) text = '0'.repeat(62) + text;
    }
    const size = Math.max(1, text.length);
    const flags = pick(rng, [0, 0, 0, 8, 10, 16, 16, 2, 32]);
    program.push(-8, 0x5a5a5a5a);
    program.call(
      pick(rng, [105, 106]),
      [program.text(ascii(text.padEnd(1, '\0'))), size, flags, { area: 'stack', at: -8 }],
      {
        at: -8,
        bytes: 8,
      },
    );
  }
  return program.scenario();
}

function comparisons(): Scenario {
  const rng = new Rng(3);
  const program = new CallProgram();
  for (let i = 0; i < 60; i++) {
    const word = () => Array.from({ length: rng.below(5) }, () => pick(rng, ['a', 'b', 'é'])).join('');
    const left = ascii(`${word()}\0pad`);
    program.call(182, [program.text(left), 1 + rng.below(left.length), program.constant(word())]);
  }
  return program.scenario();
}

function probes(): Scenario {
  const program = new CallProgram();
  const addresses: Value[] = [
    0,
    0x1000,
    0x7fff_ffff_e000n,
    0x7fff_ffff_f000n,
    0x8000_0000_2000n,
    0xdead_0000_0000_0000n,
    0xfffe_ffff_ffff_0000n,
    0xffff_8000_0000_0000n,
    0xffff_ffff_ff60_0000n,
    program.text(ascii('0123456789\0')),
    program.text(ascii('x\0'.padEnd(24, '\0'))),
  ];
  for (const helper of [112, 113, 114, 115]) {
    for (const address of addresses) {
      for (const size of [0, 1, 8, 16]) {
        for (const at of [-16, -8]) program.push(at, 0x5a5a_5a5a_5a5a_5a5an);
        program.call(helper, [{ area: 'stack', at: -16 }, size, address], { at: -16, bytes: 16 });
      }
    }
  }
  return program.scenario();
}

const DYNPTR: Value = { area: 'stack', at: -16 };

function dynptrs(seed: number): Scenario {
  const rng = new Rng(seed);
  const program = new CallProgram();
  const data = program.text(Uint8Array.from({ length: 64 }, (_, i) => i + 1));
  for (let i = 0; i < 12; i++) {
    const size = pick(rng, [0, 1, 8, 17, 64]);
    program.call(197, [data, size, pick(rng, [0, 0, 0, 0, 1]), DYNPTR]);
    for (let n = 0; n < 6; n++) {
      const offset = pick(rng, [0, 0, 1, size, Math.max(0, size - 1), size + 1, 0xffff_ffff, rng.below(70)]);
      const length = pick(rng, [0, 1, size, Math.max(0, size - offset), rng.below(32)]) & 31;
      const flags = pick(rng, [0, 0, 0, 0, 1]);
      const buffer: Value = { area: 'stack', at: -48 };
      for (const at of [-48, -40, -32, -24]) program.push(at, 0x5a00 + i);
      switch (rng.below(3)) {
        case 0:
          program.call(201, [buffer, length, DYNPTR, offset, flags], { at: -48, bytes: 32 });
          break;
        case 1:
          program.call(202, [DYNPTR, offset, buffer, length, flags]);
          break;
        default:
          program.callPointer(203, [DYNPTR, offset, length]);
      }
    }
  }
  return program.scenario();
}

function ring(seed: number): Scenario {
  const rng = new Rng(seed);
  const program = new CallProgram();
  const data = program.text(Uint8Array.from({ length: 2048 }, (_, i) => i));
  for (let i = 0; i < 30; i++) {
    const size = pick(rng, [0, 1, 7, 8, 9, 100, 1000, rng.below(2000)]);
    const flags = pick(rng, [0, 0, 1, 2, 3, 4, 2n ** 32n]);
    if (rng.below(2)) {
      program.callMap(130, 0, [data, size, flags]);
    } else {
      program
        .set(3, pick(rng, [0, 0, 0, 1, 2n ** 32n]))
        .set(2, size)
        .map(1, 0);
      // if (r0) { submit or discard }
      program.raw(I.call(131), I.ifZero(0, 3 + 1), I.movReg(1, 0), I.mov(2, pick(rng, [0, 1, 2])));
      program.raw(I.call(pick(rng, [132, 133])), I.mov(0, 1));
    }
    program.callMap(134, 0, [pick(rng, [0, 1, 2, 3, 4, 2n ** 32n])]);
  }
  const events = { name: 'events', type: 'ringbuf', keySize: 0, valueSize: 0, maxEntries: 4096 } as const;
  return program.scenario([events]);
}

function checksums(seed: number): Scenario {
  const rng = new Rng(seed);
  const program = new CallProgram();
  const bytes = () => program.text(Uint8Array.from({ length: 48 }, () => pick(rng, [0, 0xff, rng.below(256)])));
  for (let i = 0; i < 60; i++) {
    const side = (): Value[] => (rng.below(4) === 0 ? [0, 0] : [bytes(), rng.below(49)]);
    program.call(28, [...side(), ...side(), anyNumber(rng)]);
  }
  return program.scenario();
}

function stringKfuncs(seed: number): Scenario {
  const rng = new Rng(seed);
  const program = new CallProgram();
  const string = (longest: number): Value => {
    if (rng.below(12) === 0) return pick(rng, [0, 0x1000, 0xffff_8000_0000_0000n, 0xdead_0000_0000_0000n]);
    const letters = Array.from({ length: rng.below(longest + 1) }, () => pick(rng, ['a', 'b', 'A', 'é'])).join('');
    return program.text(ascii(`${letters}\0aab\0`));
  };
  const char = () => pick(rng, [0, 0x61, 0x62, 0x41, 0xc3, 0xa9, 0x161, -23]);
  const count = (): Value => pick(rng, [0, 1, 2, 3, 5, 9, 65536, 2n ** 32n + 1n, -1]);
  for (let i = 0; i < 300; i++) {
    switch (rng.below(9)) {
      case 0:
        program.callKfunc(pick(rng, ['bpf_strcmp', 'bpf_strcasecmp']), [string(3), string(3)]);
        break;
      case 1:
        program.callKfunc(pick(rng, ['bpf_strchr', 'bpf_strchrnul', 'bpf_strrchr']), [string(8), char()]);
        break;
      case 2:
        program.callKfunc('bpf_strnchr', [string(8), count(), char()]);
        break;
      case 3:
        program.callKfunc('bpf_strlen', [string(8)]);
        break;
      case 4:
        program.callKfunc('bpf_strnlen', [string(8), count()]);
        break;
      case 5:
        program.callKfunc(pick(rng, ['bpf_strspn', 'bpf_strcspn']), [string(8), string(2)]);
        break;
      case 6:
        program.callKfunc('bpf_strstr', [string(8), string(3)]);
        break;
      default:
        program.callKfunc('bpf_strnstr', [string(8), string(3), count()]);
    }
  }
  return program.scenario();
}

function iterators(): Scenario {
  const rng = new Rng(9);
  const program = new CallProgram();
  const it: Value = { area: 'stack', at: -16 };
  const limits = [0, 1, 3, -1, 2 ** 31 - 1, -(2 ** 31), 8388608, 8388609];
  for (let i = 0; i < 40; i++) {
    const start = pick(rng, limits);
    const end = rng.below(2) ? pick(rng, limits) : start + rng.below(4);
    program.callKfunc('bpf_iter_num_new', [it, start, end]);
    for (let n = 0; n < 3; n++) program.callKfunc('bpf_iter_num_next', [it], 'element');
    program.callKfunc('bpf_iter_num_destroy', [it], 'void');
  }
  for (let i = 0; i < 30; i++) {
    const words = Array.from({ length: 24 }, () => (rng.below(3) ? 0 : 1 << rng.below(8)));
    const mask = rng.below(8) === 0 ? pick(rng, [0, 0x1000]) : program.text(Uint8Array.from(words));
    program.callKfunc('bpf_iter_bits_new', [it, mask, pick(rng, [0, 1, 1, 2, 3, 512])]);
    for (let n = 0; n < 3; n++) program.callKfunc('bpf_iter_bits_next', [it], 'element');
    program.callKfunc('bpf_iter_bits_destroy', [it], 'void');
  }
  return program.scenario();
}

function dynptrKfuncs(seed: number): Scenario {
  const rng = new Rng(seed);
  const program = new CallProgram();
  const data = program.text(Uint8Array.from({ length: 64 }, (_, i) => 0x80 + i));
  const ptrs: Value[] = [
    { area: 'stack', at: -16 },
    { area: 'stack', at: -32 },
    { area: 'stack', at: -48 },
  ];
  const buffer: Value = { area: 'stack', at: -80 };
  for (const at of [-80, -72, -64, -56]) program.push(at, 0x5a00);
  const create = (ptr: Value) => {
    if (rng.below(2)) program.call(197, [data, pick(rng, [0, 8, 17, 64]), pick(rng, [0, 0, 0, 1]), ptr]);
    else program.callKfunc('bpf_dynptr_from_xdp', [{ area: 'ctx', at: 0 }, pick(rng, [0, 0, 0, 1]), ptr]);
  };
  for (const ptr of ptrs) create(ptr);
  const offset = () => pick(rng, [0, 1, 7, 8, 9, 17, 63, 64, 65, 0xffff_ffff]);
  const length = () => pick(rng, [1, 4, 8, 17, 32]);
  for (let i = 0; i < 120; i++) {
    const ptr = pick(rng, ptrs);
    const other = pick(rng, ptrs);
    switch (rng.below(11)) {
      case 0:
        create(ptr);
        break;
      case 1:
        program.callKfunc('bpf_dynptr_adjust', [ptr, pick(rng, [0, 1, 3, 9, 70]), pick(rng, [0, 2, 8, 20, 60, 65])]);
        break;
      case 2:
        if (other !== ptr) program.callKfunc('bpf_dynptr_clone', [ptr, other]);
        break;
      case 3:
        program.callKfunc('bpf_dynptr_copy', [ptr, offset(), other, offset(), pick(rng, [0, 1, 8, 30])]);
        break;
      case 4:
        program.callKfunc('bpf_dynptr_memset', [ptr, offset(), pick(rng, [0, 1, 8, 30]), rng.below(256)]);
        break;
      case 5:
        program.callKfunc('bpf_dynptr_slice', [ptr, offset(), pick(rng, [buffer, 0]), length()], 'pointer');
        break;
      case 6:
        program.callKfunc('bpf_dynptr_slice_rdwr', [ptr, offset(), pick(rng, [buffer, 0]), length()], 'pointer');
        break;
      case 7:
        program.callPointer(203, [ptr, offset(), length()]);
        break;
      case 8:
        program.call(201, [buffer, length(), ptr, offset(), pick(rng, [0, 0, 1])], { at: -80, bytes: 32 });
        break;
      case 9:
        program.call(202, [ptr, offset(), buffer, length(), pick(rng, [0, 0, 1])]);
        break;
      default:
        program.callKfunc('bpf_dynptr_is_null', [ptr], 'bool').callKfunc('bpf_dynptr_is_rdonly', [ptr], 'bool');
    }
    program.callKfunc('bpf_dynptr_size', [ptr]);
  }
  return program.scenario();
}

describe(`helpers, compared with ${ANSWERS_FROM}`, () => {
  test.for<[string, () => Scenario]>([
    ...[1, 2, 3, 4, 5].map((seed): [string, () => Scenario] => [`format-${seed}`, () => formats(seed)]),
    ...[1, 2].map((seed): [string, () => Scenario] => [`strtol-${seed}`, () => numbers(seed)]),
    ['strncmp', comparisons],
    ['probe-read', probes],
    ...[1, 2].map((seed): [string, () => Scenario] => [`dynptr-${seed}`, () => dynptrs(seed)]),
    ...[1, 2].map((seed): [string, () => Scenario] => [`ringbuf-${seed}`, () => ring(seed)]),
    ['csum-diff', () => checksums(1)],
    ['string-kfuncs', () => stringKfuncs(1)],
    ['iterators', iterators],
    ...[1, 2, 3].map((seed): [string, () => Scenario] => [`dynptr-kfuncs-${seed}`, () => dynptrKfuncs(seed)]),
  ])('%s: the same results and memory', ([what, scenario], ctx) => {
    const name = `helpers-${what}`;
    const possible = canAnswer(name);
    if (!possible.ok) return ctx.skip(possible.reason);
    const answer = kernelAnswer(name, scenario);
    expect(answer.calls?.refused).toBeUndefined();
    expect(differences(interpreterSubject, scenario(), answer)).toEqual([]);
  });

  const FORMATS = [
    ...['%', '%d%', '%.3s', '%o', '%#x', '%f', '%n', '%hd', '%zu', '%pI5', '%pZ', '%px', '%p', '%pK', '%p:', '%pa'],
    ...['%s', '%sx', '%s1', '%s ', '%s\u00bf', '%s\u00c0', '%ls', '%lc', '%llld', '%ld', '%c', '%5c', '%*d', '%-+ 08d'],
    ...[
      '%1-d',
      '%0',
      '%09',
      '%%',
      '%5%',
      '\x01',
      '\x7f',
      '\x80',
      'é',
      '\n',
      '\x1b',
      '%d %d',
      '%d %d %d',
      '%pks',
      '%pksx',
    ],
    ...['%pus', '%puS', '%pk', '%pB', '%pS1', '%pi', '%pi4', '%pI6c', '%D', '%i', '%X', '%e', '%lp', '%+s', '% x'],
  ];

  test('the same formats are refused', (ctx) => {
    const name = 'helpers-formats';
    const possible = canAnswer(name);
    if (!possible.ok) return ctx.skip(possible.reason);
    const { answer } = recorded(name, () => refusedFormats(FORMATS));
    const { memory } = new HelperBench().machine;
    const ours = FORMATS.filter((format) => formatText(memory, ascii(format), new Int32Array(4), 100) === -22);
    expect(ours).toEqual(answer);
  });
});

/** Formats that the kernel does not load with two arguments. */
function refusedFormats(formats: readonly string[]): string[] {
  const bytes = new Uint8Array(16 * formats.length);
  formats.forEach((format, i) => {
    bytes.set(ascii(format), 16 * i);
  });
  const programs = formats.map((_, i) => ({
    name: `format_${i}`,
    type: 'xdp' as const,
    insns: assembled(
      ...[-16, -8].map((at) => I.store(64, 10, at, 0)),
      ...[I.mov(1, 0), I.mov(2, 0), I.mapValue(3, 0, 16 * i), I.movReg(4, 10), I.add(4, -16), I.mov(5, 16)],
      ...[I.call(165), I.mov(0, 2), I.exit()],
    ),
  }));
  const map = { name: 'format', type: 'array', keySize: 4, valueSize: bytes.length, maxEntries: 1 } as const;
  const object = kernelSubject.load(rawSpec(programs, [{ ...map, flags: 128, frozen: true, initial: bytes }]));
  const refused = formats.filter((_, i) => object.refused[`format_${i}`]?.errno === -22);
  object.close();
  return refused;
}
