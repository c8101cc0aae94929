import { describe, expect, test } from 'vitest';
import { loadObject } from '../../src/loader/object.ts';
import { openObject } from '../../src/loader/open.ts';
import { returns, writeElf } from '../support/elf-writer.ts';
import { failure, headerOf, ObjectKit, oneProgram, strict, tampered } from './object-kit.ts';

const good = () => oneProgram().build();
/** Byte offset of the n-th symbol of the table. */
function symbolAt(bytes: Uint8Array, index: number): number {
  const header = headerOf(bytes, '.symtab');
  return Number(new DataView(bytes.buffer).getBigUint64(header + 24, true)) + index * 24;
}

describe('file and ELF header', () => {
  test('[L-001] a file that is too short or has no byte order is no ELF object', () => {
    const noOrder = tampered(good(), (view) => view.setUint8(5, 0));
    for (const bytes of [new Uint8Array(0), good().slice(0, 63), noOrder, new TextEncoder().encode('x'.repeat(100))]) {
      expect(failure(bytes)).toMatch(/^-4001 open: .*is not a proper ELF object/);
    }
  });

  const headers: [string, number, number, RegExp][] = [
    ['[L-002] a 32-bit object is refused', 4, 1, /^-4001 open: .*is not a 64-bit ELF object/],
    ['[L-003] an executable is refused', 16, 2, /^-4001 open: .*is not a valid eBPF object file/],
    ['[L-004] an object for another machine is refused', 18, 62, /^-4001 open: .*is not a valid eBPF object file/],
    ['[L-007] an object without section names is refused', 62, 0, /^-4001 open: .*failed to get section name string/],
    [
      '[L-008] section names beyond the sections are refused',
      62,
      99,
      /^-4001 open: .*failed to get section name string/,
    ],
  ];
  test.each(headers)('%s', (_name, at, value, message) => {
    expect(failure(tampered(good(), (view) => view.setUint8(at, value)))).toMatch(message);
  });

  test('[L-005] machine 0 of very old compilers is taken', () => {
    expect(strict(oneProgram().build({ machine: 0 })).programs).toHaveLength(1);
  });

  test('[L-006] a file cut at half, or by one byte, is refused', () => {
    const bytes = good();
    for (const length of [bytes.length >> 1, bytes.length - 1]) {
      expect(failure(bytes.slice(0, length))).toMatch(/^-4001 open: .*failed to get section names strings/);
    }
  });

  test('[L-009] a big-endian object opens and lists its programs, but does not load', () => {
    // mov r0 = 2; exit, with fields and register nibbles the other way round
    const code = [0xb7, 0, 0, 0, 0, 0, 0, 2, 0x95, 0, 0, 0, 0, 0, 0, 0];
    const bytes = writeElf({
      littleEndian: false,
      sections: [{ name: 'xdp', flags: 6, data: Uint8Array.from(code) }],
      symbols: [{ name: 'p', section: 'xdp', size: 16 }],
    });
    const opened = openObject(bytes, { dialect: 'libbpf' });
    expect(opened.funcs.map((func) => func.name)).toEqual(['p']);
    expect([...opened.funcs[0]!.insns]).toEqual(returns(2));
    expect(failure(bytes)).toMatch(/^-4003 load: .*loading non-native endianness is unsupported/);
    expect(() => loadObject(bytes)).toThrow('loading non-native endianness is unsupported');
  });

  test('[L-010] with more sections than 16 bits count, programs whose symbol needs an extended index are not found', () => {
    const kit = oneProgram();
    kit.symbols[0] = { ...kit.symbols[0]!, section: 0xffff };
    const spec = strict(kit.build({ padding: 66_000 }));
    expect(spec.programs).toEqual([]);
    expect(spec.license).toBe('GPL');
  });

  test('[L-011] an object without symbol table is refused', () => {
    const bytes = tampered(good(), (view) => view.setUint32(headerOf(good(), '.symtab') + 4, 1, true));
    expect(failure(bytes)).toMatch(/^-2 open: .*couldn't find symbol table in obj.o, stripped object file\?/);
  });

  test('[L-012] debug sections make no difference', () => {
    const kit = oneProgram();
    kit.section('.debug_info', [1, 2, 3, 4, 5, 6, 7, 8], { flags: 6 });
    // A relocation section that no code section could have.
    kit.section('.rel.debug_info', [1, 2, 3], { type: 9, entsize: 99, info: 99 });
    kit.symbols.push({ name: 'in_debug', section: '.debug_info', size: 8 });
    const plain = strict(good());
    const debug = strict(kit.build());
    expect(JSON.stringify(debug)).toBe(JSON.stringify(plain));
  });

  test('[L-013] a symbol table without its strings is refused', () => {
    const bytes = tampered(good(), (view) => view.setUint32(headerOf(good(), '.symtab') + 40, 0, true));
    expect(failure(bytes)).toMatch(/^-4001 open: .*failed to get symbol name for offset/);
  });

  test('[L-014] two symbol tables are refused', () => {
    const bytes = tampered(good(), (view) => view.setUint32(headerOf(good(), 'license') + 4, 2, true));
    expect(failure(bytes)).toMatch(/^-4001 open: .*multiple symbol tables in obj.o/);
  });

  test('[L-015] [L-016] a relocation section with wrong entry size or target is refused', () => {
    const kit = oneProgram();
    kit.plainMap('m');
    kit.func('xdp', 'q', [...[0x18, 1, 0, 0, 0, 0, 0, 0], ...Array(8).fill(0), ...returns(0)], {
      relocations: [{ slot: 0, symbol: 'm' }],
    });
    const bytes = kit.build();
    expect(strict(bytes).programs).toHaveLength(2);
    const header = headerOf(bytes, '.relxdp');
    expect(failure(tampered(bytes, (view) => view.setBigUint64(header + 56, 24n, true)))).toMatch(/^-4001 open/);
    expect(failure(tampered(bytes, (view) => view.setUint32(header + 44, 99, true)))).toMatch(/^-4001 open/);
  });
});

describe('programs and sections', () => {
  test('[L-017] a global function in section xdp is an XDP program', () => {
    const [program] = strict(good()).programs;
    expect(program).toMatchObject({
      name: 'p',
      type: 'xdp',
      typeId: 6,
      expectedAttachType: 37,
      autoload: true,
      flags: 0,
    });
    expect([...program!.insns]).toEqual(returns(2));
  });

  test('[L-018] weak, hidden and internal functions of a program section are entry programs', () => {
    const kit = new ObjectKit();
    kit.func('xdp', 'weak', returns(1), { bind: 'weak' });
    kit.func('xdp', 'hidden', returns(1), { visibility: 2 });
    kit.func('xdp', 'internal', returns(1), { visibility: 1 });
    expect(strict(kit.build()).programs.map((program) => program.name)).toEqual(['weak', 'hidden', 'internal']);
  });

  test('[L-019] a static function in a program section is refused by libbpf, and a program elsewhere', () => {
    const kit = new ObjectKit();
    kit.func('xdp', 'p', returns(2), { bind: 'local' });
    const bytes = kit.build();
    expect(failure(bytes)).toMatch(/^-95 open: .*program 'p' is static and not supported/);
    expect(failure(bytes, { dialect: 'libbpf-0.8' })).toMatch(/^-95 open/);
    expect(loadObject(bytes, { dialect: 'cilium' }).programs).toHaveLength(1);
    const spec = loadObject(bytes);
    expect(spec.programs).toHaveLength(1);
    expect(spec.warnings.join()).toContain('is static');
  });

  test('[L-020] functions of .text are no programs', () => {
    const kit = new ObjectKit();
    kit.func('.text', 'f');
    expect(strict(kit.build()).programs).toEqual([]);
  });

  test('[L-021] an object with maps alone loads', () => {
    const kit = new ObjectKit();
    kit.plainMap('m');
    const spec = strict(kit.build());
    expect(spec.programs).toEqual([]);
    expect(spec.maps.map((map) => map.name)).toEqual(['m']);
  });

  test('[L-022] a function that leaves its section is refused', () => {
    const bytes = good();
    const bad = tampered(bytes, (view) => view.setBigUint64(symbolAt(bytes, 1) + 16, 24n, true));
    expect(failure(bad)).toMatch(/^-4001 open: .*program at offset 0 crosses section boundary/);
  });

  test.each([0, 12])('[L-023] a function of %i bytes is refused', (size) => {
    const bytes = good();
    const bad = tampered(bytes, (view) => view.setBigUint64(symbolAt(bytes, 1) + 16, BigInt(size), true));
    expect(failure(bad)).toMatch(new RegExp(`^-22 open: .*corrupted program 'p', offset 0, size ${size}`));
  });

  test('[L-024] a function that ends inside of a 16-byte instruction is left to the verifier', () => {
    const kit = new ObjectKit();
    kit.func('xdp', 'p', [0x18, 0, 0, 0, 1, 0, 0, 0, ...Array(8).fill(0), ...returns(0)], { size: 8 });
    expect(strict(kit.build()).programs[0]!.insns.length).toBe(8);
  });

  test('[L-025] a symbol without type is no program to libbpf; old compilers made such ones', () => {
    const kit = new ObjectKit();
    kit.func('xdp', 'a', returns(1), { type: 'notype', size: 0 });
    kit.func('xdp', 'b', returns(2), { type: 'notype', size: 0 });
    const bytes = kit.build();
    expect(strict(bytes).programs).toEqual([]);
    const spec = loadObject(bytes);
    expect(spec.programs.map((program) => [program.name, program.insns.length])).toEqual([
      ['a', 16],
      ['b', 16],
    ]);
    expect(spec.warnings.join()).toContain('symbols have no type');
  });

  test('[L-026] without the exec flag a section holds no programs, and its relocations are skipped', () => {
    const kit = new ObjectKit();
    kit.section('xdp', [], { flags: 2 });
    // Read at all, a relocation against a symbol that is not in the table would fail the open.
    kit.func('xdp', 'p', returns(2), { relocations: [{ slot: 0, symbol: 9999 }] });
    expect(strict(kit.build()).programs).toEqual([]);
  });

  test('[L-027] two programs in one section are both listed, by offset', () => {
    const kit = new ObjectKit();
    kit.func('xdp', 'a');
    kit.func('xdp', 'b');
    kit.symbols.reverse();
    expect(strict(kit.build()).programs.map((program) => program.name)).toEqual(['a', 'b']);
  });

  test('[L-028] programs are listed by section, then by offset', () => {
    const kit = new ObjectKit();
    kit.func('tc', 't1');
    kit.func('xdp', 'x');
    kit.func('tc', 't2');
    expect(strict(kit.build()).programs.map((program) => program.name)).toEqual(['t1', 't2', 'x']);
  });

  test('[L-029] a long program name is kept in full', () => {
    const name = 'a_name_that_is_longer_than_15';
    expect(strict(oneProgram('xdp', name).build()).programs[0]!.name).toBe(name);
  });

  test('[L-045] a bad relocation fails the open even in a program that is switched off', () => {
    const kit = oneProgram();
    kit.func('?tc', 'off', returns(2), { relocations: [{ slot: 0, symbol: 'p' }] });
    expect(failure(kit.build())).toMatch(/^-4005 open: .*invalid relo against 'p'/);
  });

  test('[L-046] programs of the same name in two sections are both kept', () => {
    const kit = new ObjectKit();
    kit.func('xdp', 'p');
    kit.func('tc', 'p');
    const types = (dialect: 'libbpf' | 'libbpf-0.8') =>
      loadObject(kit.build(), { dialect }).programs.map((program) => `${program.name}:${program.type}`);
    expect(types('libbpf')).toEqual(['p:xdp', 'p:sched_cls']);
    expect(types('libbpf-0.8')).toEqual(['p:xdp', 'p:sched_cls']);
  });
});

describe('license and version', () => {
  const license = (data: readonly number[]) => {
    const kit = new ObjectKit();
    kit.func('xdp', 'p');
    return kit.section('license', data).build();
  };
  const text = (content: string) => [...new TextEncoder().encode(content)];

  test('[L-047] without license section the license is empty', () => {
    const kit = new ObjectKit();
    kit.func('xdp', 'p');
    expect(strict(kit.build()).license).toBe('');
  });

  test('[L-049] a license without NUL is kept up to 63 bytes', () => {
    expect(strict(license(text('GPL'))).license).toBe('GPL');
    expect(strict(license(text('x'.repeat(200)))).license).toBe('x'.repeat(63));
  });

  test('[L-050] of two license variables the first string counts', () => {
    expect(strict(license(text('GPL\0MIT\0'))).license).toBe('GPL');
  });

  test('[L-051] an empty license section is refused', () => {
    expect(failure(license([]))).toMatch(/^-4001 open: .*invalid license section/);
  });

  test('[L-052] a version has 4 bytes', () => {
    const version = (data: number[]) => oneProgram().section('version', data).build();
    expect(failure(version(Array(8).fill(1)))).toMatch(/^-4001 open: .*invalid kver section/);
    expect(strict(version([4, 3, 2, 1])).kernelVersion).toBe(0x01020304);
  });
});
