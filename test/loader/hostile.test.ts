import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/base/rng.ts';
import { describeFeatures } from '../../src/loader/features.ts';
import { loadObject } from '../../src/loader/object.ts';
import { ObjectError } from '../../src/loader/object-error.ts';
import { DIALECTS } from '../../src/loader/sections.ts';
import type { BtfWriter } from '../support/btf-writer.ts';
import { insn, lddw, writeElf } from '../support/elf-writer.ts';
import { failure, ObjectKit, oneProgram } from './object-kit.ts';

/** Everything at once: maps, data, calls, callbacks, externs, CO-RE, lines. */
function everything(): Uint8Array {
  const kit = new ObjectKit();
  kit.plainMap('m');
  kit.data('.data', 'v', [1, 2, 3, 4]);
  kit.btf.datasec('.data', [[kit.btf.variable('v', kit.int), 0, 4]]);
  kit.extern('CONFIG_X', '.kconfig', kit.int);
  kit.extern('bpf_thing', '.ksyms', kit.btf.proto(kit.int), { func: true, weak: true });
  kit.func('.text', 'sub', [...insn(0xb7, 0), ...insn(0x95)]);
  kit.func(
    'xdp',
    'p',
    [
      ...lddw(1),
      ...lddw(2),
      ...lddw(3),
      ...insn(0x85, 0, 1, 0, -1),
      ...insn(0x85, 0, 1, 0, -1),
      ...insn(0xb7, 1, 0, 0, 4),
      ...insn(0x95),
    ],
    {
      relocations: [
        { slot: 0, symbol: 'm' },
        { slot: 2, symbol: 'v' },
        { slot: 4, symbol: 'CONFIG_X' },
        { slot: 6, symbol: 'sub' },
        { slot: 7, symbol: 'bpf_thing' },
      ],
    },
  );
  const func = kit.btf.func('p', kit.btf.proto(kit.int));
  const struct = kit.btf.struct('task', 8, [
    ['a', kit.int, 0],
    ['b', kit.int, 32],
  ]);
  kit.ext.funcs.push(['.text', 0, func], ['xdp', 0, func]);
  kit.ext.lines.push(['.text', 0, 'a.c', 'sub', 1, 1], ['xdp', 0, 'a.c', 'p', 2, 1]);
  kit.ext.core.push(['xdp', 64, struct, '0:1', 0]);
  return kit.license().build();
}

/** Loads, and looks at all that is lazy. Anything but success or an ObjectError is a failure of ours. */
function survives(bytes: Uint8Array, what: string): boolean {
  try {
    const spec = loadObject(bytes, { kconfig: 'CONFIG_X=1' });
    describeFeatures(spec);
    JSON.stringify(spec);
    return true;
  } catch (error) {
    if (error instanceof ObjectError) return false;
    throw new Error(`${what}: ${error}`, { cause: error });
  }
}

describe('damaged objects', () => {
  test('an object cut at any length loads or is refused', () => {
    const bytes = everything();
    expect(survives(bytes, 'whole')).toBe(true);
    for (let length = 0; length < bytes.length; length++) {
      expect(survives(bytes.slice(0, length), `cut at ${length}`)).toBe(false);
    }
  });

  test('an object with one byte changed, any of them, loads or is refused', () => {
    const bytes = everything();
    let loaded = 0;
    const rng = new Rng(1);
    for (let at = 0; at < bytes.length; at++) {
      const copy = bytes.slice();
      copy[at] = copy[at]! ^ (1 + rng.below(255));
      if (survives(copy, `byte ${at}`)) loaded++;
    }
    expect(loaded).toBeGreaterThan(100);
    expect(loaded).toBeLessThan(bytes.length);
  });

  test('thousands of objects with random damage load or are refused', () => {
    const bytes = everything();
    const rng = new Rng(7);
    for (let round = 0; round < 3000; round++) {
      const copy = bytes.slice();
      for (let flips = 1 + rng.below(8); flips > 0; flips--) {
        const at = rng.below(copy.length);
        copy[at] = rng.below(3) === 0 ? [0, 1, 0x7f, 0x80, 0xff][rng.below(5)]! : copy[at]! ^ (1 << rng.below(8));
      }
      survives(copy, `round ${round}`);
    }
  });

  test('damage in real objects is survived in every dialect', (ctx) => {
    const files = readdirSync('progs').filter((file) => file.endsWith('.o'));
    if (files.length === 0) ctx.skip('progs holds no objects');
    const rng = new Rng(11);
    for (const file of files) {
      const bytes = new Uint8Array(readFileSync(`progs/${file}`));
      for (let round = 0; round < 20; round++) {
        const copy = bytes.slice();
        for (let flips = 1 + rng.below(20); flips > 0; flips--) copy[rng.below(copy.length)] = rng.below(256);
        try {
          loadObject(copy, { dialect: DIALECTS[rng.below(DIALECTS.length)]! });
        } catch (error) {
          if (!(error instanceof ObjectError)) throw new Error(`${file} round ${round}: ${error}`, { cause: error });
        }
      }
    }
  });

  test('what is no ELF file is refused by name', () => {
    const noise = Uint8Array.from({ length: 5000 }, (_, i) => (i * 31) & 255);
    expect(failure(noise, { file: 'notes.txt' })).toMatch(/^-4001 open: .*'notes.txt' is not a proper ELF object/);
  });

  test('section names without end do not cost more than they have bytes', () => {
    const sections = Array.from({ length: 20_000 }, (_, i) => ({ name: `s${i}` }));
    const bytes = writeElf({ sections });
    const view = new DataView(bytes.buffer);
    const shoff = Number(view.getBigUint64(40, true));
    const names = Number(view.getBigUint64(shoff + view.getUint16(62, true) * 64 + 24, true));
    bytes.fill(0x61, names, shoff);
    for (let i = 0; i < 20_000; i++) view.setUint32(shoff + i * 64, 0, true);
    expect(failure(bytes)).toMatch(/^-4001 open: .*failed to get section\(0\) name/);
  });

  test('zero data larger than any memory is refused, not allocated', () => {
    const kit = oneProgram();
    kit.section('.bss', [], { type: 8, size: 2 ** 45, flags: 3 });
    expect(failure(kit.build())).toMatch(/^-7 open: .*\.bss/);
  });

  test('a small file whose programs would need endless copies of a subprogram is refused', () => {
    const kit = new ObjectKit();
    kit.func('.text', 'long', [...Array.from({ length: 50_000 }, () => insn(0xb7)).flat(), ...insn(0x95)]);
    for (let i = 0; i < 400; i++) {
      kit.func('xdp', `p${i}`, [...insn(0x85, 0, 1, 0, -1), ...insn(0x95)], {
        relocations: [{ slot: 0, symbol: 'long' }],
      });
    }
    expect(failure(kit.build())).toMatch(/^-7 load: .*prog 'p159': too many instructions with its subprograms/);
  });

  test('functions that take functions, endlessly, are compared in time', () => {
    const build = (w: BtfWriter) => {
      let id = 0;
      for (let i = 0; i < 60; i++) {
        const pointer = w.ptr(id);
        id = w.proto(0, [
          ['a', pointer],
          ['b', pointer],
        ]);
      }
      return id;
    };
    const kit = oneProgram();
    kit.extern('deep', '.ksyms', build(kit.btf), { func: true, weak: true });
    expect(failure(kit.build(), { hasKfunc: () => true })).toBe('loaded');
  });
});

describe('real objects', () => {
  const folder = '/usr/lib/x86_64-linux-gnu/bpf';
  test('all objects of the package xdp-tools load as libbpf loads them', (ctx) => {
    const files = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith('.o')) : [];
    if (files.length === 0) ctx.skip(`${folder} has no objects: package xdp-tools is not installed`);
    expect(files.length).toBeGreaterThanOrEqual(10);
    for (const file of files) {
      const bytes = new Uint8Array(readFileSync(`${folder}/${file}`));
      const spec = loadObject(bytes, { file });
      expect({ file, programs: spec.programs.length > 0, warnings: spec.warnings }).toEqual({
        file,
        programs: true,
        warnings: [],
      });
      for (const program of spec.programs) {
        expect(program.type).not.toBe('unspec');
        expect(program.lines.length).toBeGreaterThan(0);
      }
    }
  });

  test('our own programs load without a warning', (ctx) => {
    const files = readdirSync('progs').filter((file) => file.endsWith('.o'));
    if (files.length === 0) ctx.skip('progs holds no objects');
    for (const file of files) {
      const spec = loadObject(new Uint8Array(readFileSync(`progs/${file}`)), { file, dialect: 'libbpf' });
      expect({ file, warnings: spec.warnings }).toEqual({ file, warnings: [] });
      expect(spec.programs.length).toBeGreaterThan(0);
    }
  });
});
