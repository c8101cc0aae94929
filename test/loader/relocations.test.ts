import { describe, expect, test } from 'vitest';
import { LoadError } from '../../src/base/error.ts';
import { loadObject } from '../../src/loader/object.ts';
import { insn, lddw, returns } from '../support/elf-writer.ts';
import { failure, insnText, ObjectKit, oneProgram, strict } from './object-kit.ts';

const EXIT = insn(0x95);
/** `r1 = <symbol>; exit` */
const load = (imm = 0) => [...lddw(1, 0, imm), ...EXIT];
const CALL = (imm = -1) => insn(0x85, 0, 1, 0, imm);

/** A program that loads the address of a symbol. */
function loading(kit: ObjectKit, symbol: string | number, options: { type?: number; imm?: number } = {}): ObjectKit {
  kit.func('xdp', 'p', load(options.imm), { relocations: [{ slot: 0, symbol, type: options.type }] });
  return kit;
}

function withData(): ObjectKit {
  const kit = new ObjectKit();
  kit.data('.data', 'first', [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  kit.data('.data', 'gv', [2, 0, 0, 0]);
  kit.symbols.push({ name: '.data', section: '.data', bind: 'local', type: 'section' });
  return kit;
}

describe('references to maps and variables', () => {
  test.each([0, 1, 2, 3, 10, 99])('[L-053] relocation type %i on a load means the same', (type) => {
    const [program] = strict(loading(withData(), 'gv', { type }).build()).programs;
    expect(insnText(program!)).toEqual(['18 1 6 0 0', '00 0 0 0 12', '95 0 0 0 0']);
  });

  test('[L-054] a relocation on another instruction is refused', () => {
    const kit = withData();
    kit.func('xdp', 'p', [...returns(0), ...insn(0x61, 0, 1), ...EXIT], { relocations: [{ slot: 2, symbol: 'gv' }] });
    expect(failure(kit.build())).toMatch(/^-4005 open: .*invalid relo against 'gv' for insns\[2\].code 0x61/);
  });

  test.each([4, 800])('[L-055] a relocation at offset %i of 24 bytes is refused', (offset) => {
    const kit = loading(withData(), 'gv');
    kit.relocations[0] = { ...kit.relocations[0]!, offset };
    expect(failure(kit.build())).toMatch(
      new RegExp(`^-4001 open: .*invalid offset 0x${offset.toString(16)} for relo #0`),
    );
  });

  test('[L-056] a symbol that is not in the table is refused', () => {
    expect(failure(loading(withData(), 9999).build())).toMatch(/^-4001 open: .*symbol #9999 not found for relo #0/);
  });

  test.each([0xfff1, 0xfff2])('[L-057] a symbol in special section %i is refused', (section) => {
    const kit = new ObjectKit();
    kit.symbols.push({ name: 'common', section, type: 'object' });
    const number = 1;
    expect(failure(loading(kit, 'common').build())).toMatch(
      new RegExp(`^-4001 open: .*corrupted symbol #${number} pointing to invalid section #${section} for relo #0`),
    );
  });

  test('[L-058] a static variable is the section plus the addend', () => {
    const [program] = strict(loading(withData(), '.data', { imm: 12 }).build()).programs;
    expect(insnText(program!).slice(0, 2)).toEqual(['18 1 6 0 0', '00 0 0 0 12']);
  });

  test('[L-059] an addend on a global variable counts', () => {
    const [program] = strict(loading(withData(), 'gv', { imm: 8 }).build()).programs;
    expect(insnText(program!)[1]).toBe('00 0 0 0 20');
  });

  test('[L-060] an offset beyond the section is left to the verifier', () => {
    const [program] = strict(loading(withData(), 'gv', { imm: 64 }).build()).programs;
    expect(insnText(program!)[1]).toBe('00 0 0 0 76');
  });

  test('[L-061] an addend on a map is dropped', () => {
    const kit = new ObjectKit();
    kit.plainMap('a');
    kit.plainMap('m');
    const [program] = strict(loading(kit, 'm', { imm: 8 }).build()).programs;
    expect(insnText(program!).slice(0, 2)).toEqual(['18 1 5 0 1', '00 0 0 0 0']);
  });

  test('[L-062] arithmetic on a map in the program stays in the program', () => {
    const kit = new ObjectKit();
    kit.plainMap('m');
    kit.func('xdp', 'p', [...lddw(1), ...insn(0x07, 1, 0, 0, 8), ...EXIT], { relocations: [{ slot: 0, symbol: 'm' }] });
    expect(insnText(strict(kit.build()).programs[0]!)).toEqual([
      '18 1 5 0 0',
      '00 0 0 0 0',
      '07 1 0 0 8',
      '95 0 0 0 0',
    ]);
  });

  test('[L-064] a global variable in a section of another name is refused', () => {
    const kit = new ObjectKit();
    kit.data('mysec', 'z', [1, 0, 0, 0]);
    expect(failure(loading(kit, 'z').build())).toMatch(/^-4005 open: .*bad map relo against 'z' in section 'mysec'/);
  });

  test('[L-065] even when only an unused subprogram refers to it', () => {
    const kit = oneProgram();
    kit.data('mysec', 'z', [1, 0, 0, 0]);
    kit.func('.text', 'unused', load(), { relocations: [{ slot: 0, symbol: 'z' }] });
    expect(failure(kit.build())).toMatch(/^-4005 open: .*bad map relo against 'z' in section 'mysec'/);
  });

  test('an error tells the file, the section and the offset', () => {
    const kit = new ObjectKit();
    kit.func('xdp', 'p');
    kit.data('mysec', 'z', [1, 0, 0, 0]);
    kit.func('xdp', 'q', load(), { relocations: [{ slot: 0, symbol: 'z' }] });
    const bytes = kit.build();
    const attempt = () => loadObject(bytes, { file: 'dir/fw.bpf.o' });
    expect(attempt).toThrow(LoadError);
    expect(attempt).toThrow(
      "dir/fw.bpf.o: prog 'q': bad map relo against 'z' in section 'mysec'; global data belongs into .data*, .rodata* or .bss* (section xdp, offset 0x10)",
    );
    try {
      attempt();
    } catch (error) {
      expect(error).toMatchObject({
        errno: -4005,
        errnoLabel: 'LIBBPF_RELOC',
        stage: 'open',
        section: 'xdp',
        offset: 16,
      });
    }
  });

  test('a map symbol between two maps is refused', () => {
    const kit = new ObjectKit();
    kit.plainMap('m');
    kit.symbols.push({ name: 'inside', section: '.maps', value: 8, type: 'object' });
    expect(failure(loading(kit, 'inside').build())).toMatch(/^-4005 .*failed to find map for section '.maps', off 8/);
  });

  test('[L-076] pointers in data are not filled in, which is said', () => {
    const kit = withData();
    kit.relocations.push({ section: '.data', offset: 0, symbol: 'gv', type: 2 });
    const spec = strict(loading(kit, 'gv').build());
    expect(spec.warnings.join()).toContain('skipping relo section .rel.data');
    expect([...spec.maps[0]!.initial!.slice(0, 8)]).toEqual([1, 0, 0, 0, 0, 0, 0, 0]);
  });

  test('[L-178] RELA relocations of very old compilers are applied, and skipped by libbpf', () => {
    const kit = new ObjectKit();
    kit.withBtf = false;
    kit.section(
      'maps',
      [1, 4, 8, 1, 0].flatMap((word) => [word, 0, 0, 0]),
    );
    kit.symbols.push({ name: 'm', section: 'maps', type: 'notype' });
    kit.func('xdp', 'p', load(), { relocations: [{ slot: 0, symbol: 'm', type: 0, addend: 0 }] });
    const bytes = kit.build({ machine: 0 });
    expect(insnText(loadObject(bytes).programs[0]!)[0]).toBe('18 1 5 0 0');
    expect(insnText(loadObject(bytes, { dialect: 'libbpf-0.8' }).programs[0]!)[0]).toBe('18 1 0 0 0');
  });
});

describe('subprograms', () => {
  test('[L-066] [L-067] a call into a program section is refused by libbpf', () => {
    for (const section of ['other', 'xdp']) {
      const kit = new ObjectKit();
      kit.func(section, 'f');
      kit.func('xdp', 'p', [...CALL(), ...EXIT], { relocations: [{ slot: 0, symbol: 'f' }] });
      const bytes = kit.build();
      expect(failure(bytes)).toMatch(new RegExp(`^-4005 open: .*bad call relo against 'f' in section '${section}'`));
      const spec = loadObject(bytes, { types: { other: 'xdp' } });
      const caller = spec.programs.find((program) => program.name === 'p')!;
      expect(insnText(caller)).toEqual(['85 0 1 0 1', '95 0 0 0 0', 'b7 0 0 0 2', '95 0 0 0 0']);
      expect(spec.warnings.join()).toContain('libbpf would refuse');
    }
  });

  test('a call without pseudo source is refused', () => {
    const kit = new ObjectKit();
    kit.func('.text', 'f');
    kit.func('xdp', 'p', [...insn(0x85, 0, 0, 0, 1), ...EXIT], { relocations: [{ slot: 0, symbol: 'f' }] });
    expect(failure(kit.build())).toMatch(/^-4005 open: .*incorrect bpf_call opcode/);
  });

  test('[L-068] the address of a program is refused', () => {
    const kit = new ObjectKit();
    kit.func('tc', 'q');
    expect(failure(loading(kit, 'q').build())).toMatch(/^-4005 open: .*bad map relo against 'q' in section 'tc'/);
  });

  test('[L-069] the address of a static function is relative to its load', () => {
    const kit = new ObjectKit();
    kit.func('.text', 'unused');
    kit.func('.text', 'callback', returns(7), { bind: 'local' });
    kit.symbols.push({ name: '.text', section: '.text', bind: 'local', type: 'section' });
    const [program] = strict(loading(kit, '.text', { imm: 16 }).build()).programs;
    expect(insnText(program!)).toEqual(['18 1 4 0 2', '00 0 0 0 0', '95 0 0 0 0', 'b7 0 0 0 7', '95 0 0 0 0']);
    expect(program!.funcs.map((func) => func.name)).toEqual(['p', 'callback']);
  });

  test('[L-070] [L-079] hidden subprograms become static in BTF, visible ones stay global', () => {
    const kit = new ObjectKit();
    const proto = kit.btf.proto(kit.int);
    const ids: Record<string, number> = {};
    for (const [name, visibility] of [
      ['open', 0],
      ['hidden', 2],
    ] as const) {
      ids[name] = kit.btf.func(name, proto);
      const at = kit.func('.text', name, returns(1), { visibility });
      kit.ext.funcs.push(['.text', at, ids[name]!]);
    }
    const main = kit.btf.func('p', proto);
    kit.ext.funcs.push(['xdp', 0, main]);
    kit.func('xdp', 'p', [...lddw(1), ...lddw(2), ...EXIT], {
      relocations: [
        { slot: 0, symbol: 'open' },
        { slot: 2, symbol: 'hidden' },
      ],
    });
    const [program] = strict(kit.build()).programs;
    expect(program!.funcs.map((func) => [func.name, func.insn, func.linkage, func.btfTypeId])).toEqual([
      ['p', 0, 'global', main],
      ['open', 5, 'global', ids.open],
      ['hidden', 7, 'static', ids.hidden],
    ]);
    expect(insnText(program!)[0]).toBe('18 1 4 0 4');
  });

  test('[L-071] unused functions are left out', () => {
    const kit = new ObjectKit();
    kit.func('.text', 'unused', returns(9));
    kit.func('.text', 'used', returns(3));
    kit.func('xdp', 'p', [...CALL(), ...EXIT], { relocations: [{ slot: 0, symbol: 'used' }] });
    const [program] = strict(kit.build()).programs;
    expect(insnText(program!)).toEqual(['85 0 1 0 1', '95 0 0 0 0', 'b7 0 0 0 3', '95 0 0 0 0']);
  });

  test('[L-072] a function used by two programs is copied into both, with its lines', () => {
    const kit = new ObjectKit();
    kit.func('.text', 'f', returns(3));
    kit.func('xdp', 'p', [...CALL(), ...EXIT], { relocations: [{ slot: 0, symbol: 'f' }] });
    kit.func('tc', 'q', [...insn(0xb7, 6), ...CALL(), ...EXIT], { relocations: [{ slot: 1, symbol: 'f' }] });
    const func = kit.btf.func('f', kit.btf.proto(kit.int));
    for (const section of ['.text', 'xdp', 'tc']) {
      kit.ext.funcs.push([section, 0, func]);
      kit.ext.lines.push([section, 0, 'a.c', `  in ${section}`, 7, 3]);
    }
    const programs = strict(kit.build()).programs;
    expect(programs.map((program) => program.lines.map((line) => `${line.slot} ${line.text}`))).toEqual([
      ['0 in xdp', '2 in .text'],
      ['0 in tc', '3 in .text'],
    ]);
    expect(programs[0]!.lines[1]).toEqual({ slot: 2, file: 'a.c', line: 7, column: 3, text: 'in .text' });
    expect(insnText(programs[1]!)[3]).toBe('b7 0 0 0 3');
  });

  /** d, a (calls b and c), b (calls c), c in .text. */
  function layout(): ObjectKit {
    const kit = new ObjectKit();
    kit.func('.text', 'd', returns(0));
    kit.func('.text', 'a', [...CALL(), ...CALL(), ...EXIT], {
      relocations: [
        { slot: 0, symbol: 'b' },
        { slot: 1, symbol: 'c' },
      ],
    });
    kit.func('.text', 'b', [...CALL(), ...EXIT], { relocations: [{ slot: 0, symbol: 'c' }] });
    kit.func('.text', 'c', returns(5));
    return kit;
  }

  test('[L-073] subprograms follow depth first, in order of use', () => {
    const kit = layout();
    kit.func('xdp', 'm', [...CALL(), ...CALL(), ...CALL(), ...EXIT], {
      relocations: ['d', 'a', 'b'].map((symbol, slot) => ({ slot, symbol })),
    });
    const [program] = strict(kit.build()).programs;
    expect(program!.funcs.map((func) => `${func.name}@${func.insn}`)).toEqual(['m@0', 'd@4', 'a@6', 'b@9', 'c@11']);
    const calls = insnText(program!).filter((line) => line.startsWith('85'));
    expect(calls).toEqual(['85 0 1 0 3', '85 0 1 0 4', '85 0 1 0 6', '85 0 1 0 2', '85 0 1 0 3', '85 0 1 0 1']);
  });

  test('[L-073] what a subprogram calls comes before what its caller calls next', () => {
    const kit = layout();
    kit.func('xdp', 'm', [...CALL(), ...CALL(), ...EXIT], {
      relocations: ['a', 'd'].map((symbol, slot) => ({ slot, symbol })),
    });
    const [program] = strict(kit.build()).programs;
    expect(program!.funcs.map((func) => `${func.name}@${func.insn}`)).toEqual(['m@0', 'a@3', 'b@6', 'c@8', 'd@10']);
  });

  test('[L-074] recursion ends in the loader', () => {
    const kit = new ObjectKit();
    kit.func('.text', 'f', [...CALL(-1), ...EXIT], { bind: 'local' });
    kit.func('xdp', 'p', [...CALL(), ...EXIT], { relocations: [{ slot: 0, symbol: 'f' }] });
    const [program] = strict(kit.build()).programs;
    expect(insnText(program!)).toEqual(['85 0 1 0 1', '95 0 0 0 0', '85 0 1 0 -1', '95 0 0 0 0']);
  });

  test('[L-075] inside of .text static functions are called without relocation, relative to the call', () => {
    const kit = new ObjectKit();
    kit.func('.text', 'unused', returns(1));
    kit.func('.text', 'outer', [...insn(0xb7, 6), ...CALL(1), ...EXIT]);
    kit.func('.text', 'inner', returns(4), { bind: 'local' });
    kit.func('xdp', 'p', [...CALL(), ...EXIT], { relocations: [{ slot: 0, symbol: 'outer' }] });
    const [program] = strict(kit.build()).programs;
    expect(program!.funcs.map((func) => func.name)).toEqual(['p', 'outer', 'inner']);
    expect(insnText(program!)[3]).toBe('85 0 1 0 1');
  });

  test('a call chain as deep as the object is linked without recursion of ours', () => {
    const kit = new ObjectKit();
    const depth = 20_000;
    for (let i = 0; i < depth; i++) kit.func('.text', `f${i}`, i + 1 < depth ? [...CALL(1), ...EXIT] : returns(0));
    kit.func('xdp', 'p', [...CALL(), ...EXIT], { relocations: [{ slot: 0, symbol: 'f0' }] });
    expect(strict(kit.build()).programs[0]!.funcs).toHaveLength(depth + 1);
  });

  test('an exception callback named by a declaration tag is appended', () => {
    const kit = new ObjectKit();
    kit.func('.text', 'unused');
    kit.func('.text', 'on_throw', returns(6));
    kit.func('xdp', 'p', returns(2));
    const main = kit.btf.func('p', kit.btf.proto(kit.int));
    kit.btf.declTag('other', main);
    kit.btf.declTag('exception_callback:on_throw', main);
    const spec = strict(kit.build());
    expect(spec.programs[0]!.funcs.map((func) => `${func.name}@${func.insn}`)).toEqual(['p@0', 'on_throw@2']);
    expect(spec.btf!.declTags(main).map((tag) => tag.name)).toEqual(['other', 'exception_callback:on_throw']);
  });

  test('a subprogram without records fails the load when its program has some', () => {
    const kit = new ObjectKit();
    kit.func('.text', 'f', returns(1));
    kit.func('xdp', 'p', [...CALL(), ...EXIT], { relocations: [{ slot: 0, symbol: 'f' }] });
    kit.ext.funcs.push(['xdp', 0, kit.btf.func('p', kit.btf.proto(kit.int))]);
    expect(failure(kit.build())).toMatch(/^-2 load: .*prog 'f': missing .BTF.ext func info\./);
  });

  test('a call that leads nowhere is refused', () => {
    const kit = new ObjectKit();
    kit.func('.text', 'f', [...CALL(100), ...EXIT]);
    kit.func('xdp', 'p', [...CALL(), ...EXIT], { relocations: [{ slot: 0, symbol: 'f' }] });
    expect(failure(kit.build())).toMatch(/^-4005 load: .*no .text section found yet sub-program call exists/);
  });

  test('[L-077] an object without BTF links its subprograms, without function info', () => {
    const kit = layout();
    kit.withBtf = false;
    kit.func('xdp', 'p', [...CALL(), ...EXIT], { relocations: [{ slot: 0, symbol: 'c' }] });
    const spec = strict(kit.build());
    expect(spec.btf).toBeUndefined();
    expect(spec.programs[0]!.funcs.map(({ name, btfTypeId, linkage }) => [name, btfTypeId, linkage])).toEqual([
      ['p', 0, 'unknown'],
      ['c', 0, 'unknown'],
    ]);
    expect(spec.programs[0]!.lines).toEqual([]);
  });

  test('[L-078] a function without records in .BTF.ext leaves the program without them', () => {
    const kit = oneProgram();
    kit.func('tc', 'asm');
    const id = kit.btf.func('p', kit.btf.proto(kit.int));
    kit.ext.funcs.push(['xdp', 0, id]);
    kit.ext.lines.push(['xdp', 0, 'a.c', 'x', 1, 1]);
    const spec = strict(kit.build());
    expect(spec.warnings.filter((line) => line.includes("'asm'"))).toEqual([
      "prog 'asm': missing .BTF.ext func info for the main program, skipping all of .BTF.ext func info.",
      "prog 'asm': missing .BTF.ext line info for the main program, skipping all of .BTF.ext line info.",
    ]);
    expect(spec.programs[0]!.lines).toHaveLength(1);
    expect(spec.programs[1]!.lines).toHaveLength(0);
  });
});
