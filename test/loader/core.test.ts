import { describe, expect, test } from 'vitest';
import { Btf, essentialName } from '../../src/loader/btf.ts';
import { CORE_KINDS } from '../../src/loader/core-kinds.ts';
import { loadObject } from '../../src/loader/object.ts';
import { BtfWriter } from '../support/btf-writer.ts';
import { insn, lddw } from '../support/elf-writer.ts';
import { failure, insnText, ObjectKit, strict } from './object-kit.ts';

const POISON = '85 0 0 0 195896080';
type Kind = (typeof CORE_KINDS)[number];
interface Target {
  readonly btf: BtfWriter;
  readonly int: number;
}

function kernel(build: (target: Target) => void): Btf {
  const btf = new BtfWriter();
  build({ btf, int: btf.int('int', 4, 1) });
  return new Btf(btf.bytes());
}
const empty = kernel(() => undefined);

/** A program whose first instruction has one CO-RE relocation. */
function relocated(
  kind: Kind,
  access: string,
  first: readonly number[],
  type: (kit: ObjectKit) => number,
  section = 'xdp',
): Uint8Array {
  const kit = new ObjectKit();
  kit.func(section, 'p', [...first, ...insn(0x95)]);
  const id = type(kit);
  kit.ext.core.push([section, 0, id, access, CORE_KINDS.indexOf(kind)]);
  return kit.license().build();
}

const mov = (imm: number) => insn(0xb7, 1, 0, 0, imm);
const ldx = (opcode: number, off: number) => insn(opcode, 0, 1, off);
const first = (bytes: Uint8Array, targetBtf?: Btf) => insnText(strict(bytes, { targetBtf }).programs[0]!);

/** struct NAME { int a; TYPE b; } with b at byte 4, or where `at` says. */
const pair =
  (name: string, member = 'b', at = 4, type?: (target: Target) => number) =>
  (target: Target) =>
    target.btf.struct(name, at + 8, [
      ['a', target.int, 0],
      [member, type ? type(target) : target.int, at * 8],
    ]);

describe('CO-RE against a given kernel', () => {
  test('a field is found at its place in the kernel', () => {
    const target = kernel(pair('task', 'b', 12));
    expect(first(relocated('byte_off', '0:1', mov(4), pair('task')), target)[0]).toBe('b7 1 0 0 12');
    expect(first(relocated('byte_off', '0:1', ldx(0x61, 4), pair('task')), target)[0]).toBe('61 0 1 12 0');
  });

  test('[L-156] a field of a type that is missing poisons the instruction', () => {
    const spec = strict(relocated('byte_off', '0:1', ldx(0x61, 4), pair('task')), { targetBtf: empty });
    expect(insnText(spec.programs[0]!)[0]).toBe(POISON);
    expect(spec.warnings.join()).toContain(
      'failed to resolve CO-RE relocation <byte_off> [2] struct task.b (0:1 @ offset 4)',
    );
  });

  test.each<[Kind, string, number]>([
    ['type_exists', '0', 1],
    ['type_size', '0', 12],
    ['target_type_id', '0', 0],
    ['type_matches', '0', 1],
    ['field_exists', '0:1', 1],
  ])('[L-157] %s of a type that is missing is 0', (kind, access, local) => {
    const code = kind === 'target_type_id' ? lddw(1, 0, local) : mov(local);
    const line = first(relocated(kind, access, code, pair('task')), empty)[0]!;
    expect(line.split(' ').at(-1)).toBe('0');
    expect(line).not.toBe(POISON);
  });

  test('[L-158] a flavour is looked up without it', () => {
    const target = kernel(pair('task_struct', 'b', 8));
    expect(first(relocated('byte_off', '0:1', mov(4), pair('task_struct___x')), target)[0]).toBe('b7 1 0 0 8');
    expect(['a___b', 'a____b', 'a___b___c', '___a', 'a'].map(essentialName)).toEqual([
      'a',
      'a____b',
      'a___b',
      '___a',
      'a',
    ]);
  });

  test('[L-159] a field of another kind does not exist', () => {
    const target = kernel(pair('task', 'b', 4, ({ btf }) => btf.array(btf.int('char', 1, 1), 16)));
    expect(first(relocated('field_exists', '0:1', mov(1), pair('task')), target)[0]).toBe('b7 1 0 0 0');
    expect(first(relocated('field_exists', '0:1', mov(1), pair('task')), kernel(pair('task')))[0]).toBe('b7 1 0 0 1');
  });

  const u64 = ({ btf }: Target) => btf.int('u64', 8);
  test('[L-160] an unsigned field of another size changes the load', () => {
    const target = kernel(pair('task', 'b', 16, ({ btf }) => btf.int('u32', 4)));
    expect(first(relocated('byte_off', '0:1', ldx(0x79, 4), pair('task', 'b', 4, u64)), target)[0]).toBe('61 0 1 16 0');
  });

  test('[L-161] a signed field of another size poisons the load', () => {
    const spec = strict(relocated('byte_off', '0:1', ldx(0x79, 4), pair('task', 'b', 4, u64)), {
      targetBtf: kernel(pair('task')),
    });
    expect(insnText(spec.programs[0]!)[0]).toBe(POISON);
    expect(spec.warnings.join()).toContain('accesses field incorrectly');
  });

  test('[L-162] [L-043] two flavours at different offsets fail the load, unless the program is off', () => {
    const target = kernel((btf) => {
      pair('S___a', 'b', 4)(btf);
      pair('S___b', 'b', 8)(btf);
    });
    const bytes = (section: string) => relocated('byte_off', '0:1', mov(4), pair('S'), section);
    expect(failure(bytes('xdp'), { targetBtf: target })).toMatch(
      /^-22 load: .*relo #0: field offset ambiguity: 64 != 32/,
    );
    expect(strict(bytes('?xdp'), { targetBtf: target }).programs[0]!.autoload).toBe(false);
  });

  const values =
    (value: number) =>
    ({ btf }: Target) =>
      btf.enumeration('e', { OTHER: 1, WANTED: value }, true);
  test('[L-163] a negative enumerator fills both halves', () => {
    const bytes = relocated('enumval_value', '1', lddw(1, 0, 7, 0), values(7));
    expect(first(bytes, kernel(values(-5))).slice(0, 2)).toEqual(['18 1 0 0 -5', '00 0 0 0 -1']);
  });

  test('[L-164] a typedef is looked up as a typedef', () => {
    const short = (target: Target) => target.btf.typedef('myt', target.btf.int('short', 2, 1));
    expect(first(relocated('type_size', '0', mov(2), short), kernel(short))[0]).toBe('b7 1 0 0 2');
    expect(first(relocated('type_size', '0', mov(2), short), kernel(pair('myt')))[0]).toBe('b7 1 0 0 0');
    const wide = (target: Target) => target.btf.typedef('myt', target.btf.int('long', 8, 1));
    expect(first(relocated('type_size', '0', mov(2), short), kernel(wide))[0]).toBe('b7 1 0 0 8');
    const bare = kernel(({ btf }) => btf.int('short', 2, 1));
    expect(first(relocated('type_size', '0', mov(2), short), bare)[0]).toBe('b7 1 0 0 0');
  });

  test('[L-165] an enumerator that is missing poisons the instruction', () => {
    const target = kernel(({ btf }) => btf.enumeration('e', { OTHER: 1 }));
    const spec = strict(relocated('enumval_value', '1', lddw(1, 0, 7, 0), values(7)), { targetBtf: target });
    expect(insnText(spec.programs[0]!).slice(0, 2)).toEqual([POISON, POISON]);
    expect(spec.warnings.join()).toContain('::WANTED = 7');
    expect(first(relocated('enumval_exists', '1', mov(1), values(7)), target)[0]).toBe('b7 1 0 0 0');
  });

  test('bitfields give their load and shifts', () => {
    const bits = (at: number) => (target: Target) => target.btf.struct('b', 8, [['x', target.int, at, 3]]);
    const target = kernel(bits(37));
    const value = (kind: Kind, local: number) =>
      first(relocated(kind, '0:0', mov(local), bits(2)), target)[0]!.split(' ')[4];
    expect([
      value('byte_off', 0),
      value('byte_sz', 4),
      value('lshift_u64', 59),
      value('rshift_u64', 61),
      value('signed', 1),
    ]).toEqual(['4', '4', '56', '61', '1']);
  });

  test('members of anonymous structs and array elements are found', () => {
    const local = (target: Target) =>
      target.btf.struct('o', 24, [
        [
          '',
          target.btf.struct(
            '',
            8,
            [
              ['x', target.int, 0],
              ['y', target.int, 32],
            ],
            true,
          ),
          0,
        ],
        ['arr', target.btf.array(target.int, 4), 64],
      ]);
    const wanted = kernel((target) =>
      target.btf.struct('o', 40, [
        ['arr', target.btf.array(target.int, 6), 32],
        ['y', target.int, 256],
      ]),
    );
    expect(first(relocated('byte_off', '0:0:1', mov(4), local), wanted)[0]).toBe('b7 1 0 0 32');
    expect(first(relocated('byte_off', '0:1:2', mov(16), local), wanted)[0]).toBe('b7 1 0 0 12');
    expect(first(relocated('byte_off', '2:1:2', mov(64), local), wanted)[0]).toBe('b7 1 0 0 92');
  });

  test('type_matches compares members, type_exists does not', () => {
    const target = kernel(pair('s', 'other'));
    expect(first(relocated('type_matches', '0', mov(1), pair('s')), target)[0]).toBe('b7 1 0 0 0');
    expect(first(relocated('type_exists', '0', mov(1), pair('s')), target)[0]).toBe('b7 1 0 0 1');
    expect(first(relocated('type_matches', '0', mov(1), pair('s')), kernel(pair('s')))[0]).toBe('b7 1 0 0 1');
  });

  test.each<[string, Uint8Array, RegExp]>([
    [
      'an access string that is not numbers',
      relocated('byte_off', '0:x', mov(4), pair('task')),
      /parsing \[2\] struct task \+ 0:x failed/,
    ],
    ['an access string beyond the struct', relocated('byte_off', '0:7', mov(4), pair('task')), /member 7 of 2/],
    [
      'a value that the instruction does not hold',
      relocated('byte_off', '0:1', mov(5), pair('task')),
      /got 5, exp 4 -> 4/,
    ],
    [
      'an instruction that takes no value',
      relocated('byte_off', '0:1', insn(0x05), pair('task')),
      /unrecognized insn #0, code:0x5/,
    ],
    ['a register operand', relocated('byte_off', '0:1', insn(0xbf, 1, 2), pair('task')), /source is a register/],
    ['an anonymous root', relocated('byte_off', '0:1', mov(4), pair('')), /doesn't support anonymous types/],
    ['a type that does not exist', relocated('type_size', '0', mov(4), () => 99), /BTF has no type \[99\]/],
  ])('%s fails the load', (_name, bytes, message) => {
    expect(failure(bytes, { targetBtf: kernel(pair('task')) })).toMatch(message);
  });
});

describe('CO-RE without a kernel', () => {
  test('the object keeps its own layout', () => {
    const bytes = relocated('byte_off', '0:1', ldx(0x61, 4), pair('task'));
    const spec = loadObject(bytes);
    expect(insnText(spec.programs[0]!)[0]).toBe('61 0 1 4 0');
    expect(spec.coreRelocations).toBe(1);
  });

  test('flavours that differ are no contradiction', () => {
    const bytes = relocated('byte_off', '0:1', mov(4), (kit) => {
      pair('S___b', 'b', 8)(kit);
      return pair('S___a')(kit);
    });
    expect(first(bytes)[0]).toBe('b7 1 0 0 4');
  });

  test('existence can be answered from outside', () => {
    const bytes = relocated('type_exists', '0', mov(1), pair('bpf_ringbuf'));
    expect(first(bytes)[0]).toBe('b7 1 0 0 1');
    const spec = strict(bytes, { coreExists: (name) => name !== 'bpf_ringbuf' });
    expect(insnText(spec.programs[0]!)[0]).toBe('b7 1 0 0 0');
  });

  test('type ids are those of the object', () => {
    expect(first(relocated('local_type_id', '0', lddw(1, 0, 99), pair('s')))[0]).toBe('18 1 0 0 2');
  });
});
