import { describe, expect, test } from 'vitest';
import { Btf } from '../../src/loader/btf.ts';
import { decodeValue } from '../../src/loader/btf-values.ts';
import { BtfWriter } from '../support/btf-writer.ts';
import { insn, lddw } from '../support/elf-writer.ts';
import { failure, insnText, type ObjectKit, oneProgram, strict } from './object-kit.ts';

const EXIT = insn(0x95);

/** A program that loads the address of one extern. */
function loading(kit: ObjectKit, symbol: string, section = 'xdp'): ObjectKit {
  kit.func(section, 'user', [...lddw(1), ...EXIT], { relocations: [{ slot: 0, symbol }] });
  return kit;
}

/** A program that calls one extern. */
function calling(kit: ObjectKit, symbol: string, section = 'xdp'): ObjectKit {
  kit.func(section, 'user', [...insn(0x85, 0, 1, 0, -1), ...EXIT], { relocations: [{ slot: 0, symbol }] });
  return kit;
}

describe('plain externs', () => {
  test.each([false, true])('[L-136] an extern that is neither __kconfig nor __ksym is refused (weak: %s)', (weak) => {
    const variable = oneProgram();
    variable.extern('foo', '', variable.int, { weak });
    expect(failure(variable.build())).toMatch(/^-2 open: .*failed to find BTF for extern 'foo' \[\d+\] section: -2/);
    const func = oneProgram();
    func.extern('foo', '', func.btf.proto(func.int), { weak, func: true });
    expect(failure(func.build())).toMatch(/^-2 open: .*failed to find BTF for extern 'foo' \[\d+\] section: -2/);
  });

  test('a call that the compiler made is explained', () => {
    const kit = oneProgram();
    kit.symbols.push({ name: 'memset', section: 0, type: 'notype' });
    expect(failure(kit.build())).toMatch(/^-2 open: .*extern 'memset': -2; the compiler emitted a call to memset\(\)/);
  });
});

describe('ksyms', () => {
  function kernel(build: (btf: BtfWriter, int: number) => void): Btf {
    const btf = new BtfWriter();
    build(btf, btf.int('int', 4, 1));
    return new Btf(btf.bytes());
  }
  const withKfunc = kernel((btf, int) => {
    btf.func('bpf_rcu_read_lock', btf.proto(0));
    btf.func('my_kfunc', btf.proto(int, [['a', int]]));
    btf.variable('jiffies', btf.int('long', 8));
  });

  function kfunc(name: string, weak: boolean, params: number, section?: string): ObjectKit {
    const kit = oneProgram();
    const args = Array.from({ length: params }, (_, i) => [`a${i}`, kit.int] as const);
    kit.extern(name, '.ksyms', kit.btf.proto(params === 0 ? 0 : kit.int, args), { weak, func: true });
    return calling(kit, name, section);
  }

  test('[L-137] a missing strong kfunc fails the load', () => {
    const bytes = kfunc('nope', false, 1).build();
    const message = /^-22 load: .*extern \(func ksym\) 'nope': not found in kernel or module BTFs/;
    expect(failure(bytes, { kernelBtf: withKfunc })).toMatch(message);
    expect(failure(bytes, { hasKfunc: () => false })).toMatch(message);
  });

  test('[L-137] a missing weak kfunc becomes a call that the verifier refuses', () => {
    const spec = strict(kfunc('nope', true, 1).build(), { kernelBtf: withKfunc });
    expect(insnText(spec.programs[1]!)[0]).toBe('85 0 0 0 2002000000');
    expect(spec.kfuncs).toEqual([]);
  });

  test('[L-137] the number in that call is the place among all externs', () => {
    const kit = oneProgram();
    kit.extern('CONFIG_X', '.kconfig', kit.int, { weak: true });
    kit.extern('nope', '.ksyms', kit.btf.proto(kit.int), { weak: true, func: true });
    const spec = strict(calling(kit, 'nope').build(), { hasKfunc: () => false });
    expect(insnText(spec.programs[1]!)[0]).toBe('85 0 0 0 2002000001');
  });

  test('a kfunc call refers to the list of kfuncs', () => {
    for (const options of [{}, { kernelBtf: withKfunc }, { hasKfunc: () => true }]) {
      const spec = strict(kfunc('my_kfunc', false, 1).build(), options);
      expect(insnText(spec.programs[1]!)[0]).toBe('85 0 2 0 0');
      expect(spec.kfuncs).toMatchObject([{ name: 'my_kfunc', weak: false }]);
    }
  });

  test('[L-138] a kfunc of another prototype fails the load', () => {
    expect(failure(kfunc('my_kfunc', false, 2).build(), { kernelBtf: withKfunc })).toMatch(
      /^-22 load: .*extern \(func ksym\) 'my_kfunc': func_proto \[\d+\] incompatible with vmlinux \[\d+\]/,
    );
    const weak = strict(kfunc('my_kfunc', true, 2).build(), { kernelBtf: withKfunc });
    expect(insnText(weak.programs[1]!)[0]).toBe('85 0 0 0 2002000000');
  });

  test('[L-139] a flavour of a kfunc is the kfunc', () => {
    const spec = strict(kfunc('bpf_rcu_read_lock___x', false, 0).build(), { kernelBtf: withKfunc });
    expect(spec.kfuncs.map((one) => one.name)).toEqual(['bpf_rcu_read_lock']);
  });

  test('[L-140] the address of a kfunc is a load of a BTF id', () => {
    const kit = oneProgram();
    kit.extern('my_kfunc', '.ksyms', kit.btf.proto(kit.int, [['a', kit.int]]), { weak: true, func: true });
    const bytes = loading(kit, 'my_kfunc').build();
    expect(insnText(strict(bytes, { kernelBtf: withKfunc }).programs[1]!)[0]).toBe('18 1 3 0 0');
    expect(insnText(strict(bytes, { hasKfunc: () => false }).programs[1]!)[0]).toBe('18 1 0 0 0');
  });

  function untyped(weak: boolean, section = 'xdp'): Uint8Array {
    const kit = oneProgram();
    kit.extern('some_symbol', '.ksyms', kit.btf.const(0), { weak });
    return loading(kit, 'some_symbol', section).build();
  }

  test('[L-141] an untyped symbol that is missing fails the load, or is 0 when weak', () => {
    expect(failure(untyped(false))).toMatch(/^-3 load: .*extern 'some_symbol' \(strong\): not resolved/);
    expect(insnText(strict(untyped(true)).programs[1]!).slice(0, 2)).toEqual(['18 1 0 0 0', '00 0 0 0 0']);
    const found = strict(untyped(false), { kallsyms: () => 0xffff_ffff_8100_1234n });
    expect(insnText(found.programs[1]!).slice(0, 2)).toEqual(['18 1 0 0 -2130701772', '00 0 0 0 -1']);
  });

  test('[L-142] a typed variable that the kernel does not have fails the load', () => {
    const typed = (name: string, weak = false) => {
      const kit = oneProgram();
      kit.extern(name, '.ksyms', kit.btf.int('long', 8), { weak });
      return loading(kit, name).build();
    };
    expect(failure(typed('nope'), { kernelBtf: withKfunc })).toMatch(
      /^-22 load: .*extern \(var ksym\) 'nope': not found in kernel BTF/,
    );
    expect(insnText(strict(typed('nope', true), { kernelBtf: withKfunc }).programs[1]!)[0]).toBe('18 1 0 0 0');
    expect(insnText(strict(typed('jiffies'), { kernelBtf: withKfunc }).programs[1]!)[0]).toBe('18 1 3 0 0');
  });

  test('[L-044] a missing strong kfunc fails the load even when only a program that is off uses it', () => {
    expect(failure(kfunc('nope', false, 1, '?tc').build(), { hasKfunc: () => false })).toMatch(
      /^-22 load: .*'nope': not found/,
    );
  });
});

describe('kconfig', () => {
  type Type = (kit: ObjectKit) => number;
  const INT: Type = (kit) => kit.int;
  const BOOL: Type = (kit) => kit.btf.int('_Bool', 1, 4);
  const CHAR: Type = (kit) => kit.btf.int('char', 1, 1);
  const TEXT: Type = (kit) => kit.btf.array(CHAR(kit), 5);
  const TRISTATE: Type = (kit) => kit.btf.enumeration('libbpf_tristate', { TRI_NO: 0, TRI_YES: 1, TRI_MODULE: 2 });

  function object(name: string, type: Type, weak = false): Uint8Array {
    const kit = oneProgram();
    kit.extern(name, '.kconfig', type(kit), { weak });
    return loading(kit, name).build();
  }
  const value = (name: string, type: Type, kconfig = '', weak = false, kernelVersion?: string) => [
    ...strict(object(name, type, weak), { kconfig, kernelVersion }).maps[0]!.initial!,
  ];
  const refused = (name: string, type: Type, kconfig = '', weak = false) =>
    failure(object(name, type, weak), { kconfig });

  test('[L-143] LINUX_KERNEL_VERSION is that of the lab', () => {
    expect(value('LINUX_KERNEL_VERSION', INT, '', false, '6.18.44')).toEqual([0x2c, 0x12, 6, 0]);
    expect(value('LINUX_KERNEL_VERSION', INT, '', false, '5.4.300-generic')).toEqual([255, 4, 5, 0]);
    expect(failure(object('LINUX_KERNEL_VERSION', INT), { kernelVersion: 'six' })).toMatch(/kernel version 'six'/);
  });

  test('[L-144] an unknown LINUX_ name is refused, or 0 when weak', () => {
    expect(refused('LINUX_FOO', INT)).toMatch(/^-22 load: .*'LINUX_FOO': unrecognized virtual extern/);
    expect(value('LINUX_FOO', INT, '', true)).toEqual([0, 0, 0, 0]);
  });

  test('[L-145] any other name is refused even when weak', () => {
    expect(refused('FOO', INT, '', true)).toMatch(/^-22 load: .*'FOO': unrecognized virtual extern/);
  });

  test('[L-146] a strong value that is not set is refused, a weak one is 0', () => {
    expect(refused('CONFIG_X', INT)).toMatch(/^-3 load: .*extern 'CONFIG_X' \(strong\): not resolved/);
    expect(refused('CONFIG_X', INT, '# CONFIG_X is not set\n')).toMatch(/^-3 load/);
    expect(value('CONFIG_X', INT, '', true)).toEqual([0, 0, 0, 0]);
  });

  test('[L-147] values that do not suit the type are refused', () => {
    expect(refused('CONFIG_X', BOOL, 'CONFIG_X=m')).toMatch(/^-22 load: .*value 'm' implies tristate or char type/);
    expect(refused('CONFIG_X', INT, 'CONFIG_X=y')).toMatch(
      /^-22 load: .*value 'y' implies bool, tristate, or char type/,
    );
    expect(refused('CONFIG_X', CHAR, 'CONFIG_X=300')).toMatch(/^-34 load: .*value '300' doesn't fit in 1 bytes/);
    expect(refused('CONFIG_X', (kit) => kit.btf.struct('s', 4, [['a', kit.int, 0]]))).toMatch(
      /^-95 open: .*extern \(kcfg\) 'CONFIG_X': type is unsupported/,
    );
  });

  test('[L-148] a bool takes no number', () => {
    expect(refused('CONFIG_X', BOOL, 'CONFIG_X=1')).toMatch(/^-22 load: .*value '1' implies integer type/);
  });

  test('[L-149] a string that is too long is cut, with its NUL', () => {
    const spec = strict(object('CONFIG_X', TEXT), { kconfig: 'CONFIG_X="longname"' });
    expect(new TextDecoder().decode(spec.maps[0]!.initial!)).toBe('long\0');
    expect(spec.warnings.join()).toContain('truncated to 4 bytes');
  });

  test('[L-150] escapes in strings stay as they are', () => {
    expect(new TextDecoder().decode(Uint8Array.from(value('CONFIG_X', TEXT, 'CONFIG_X="a\\"b"')))).toBe('a\\"b\0');
  });

  test('[L-151] numbers may be hexadecimal, octal or negative', () => {
    expect(value('CONFIG_X', INT, 'CONFIG_X=0x10')).toEqual([16, 0, 0, 0]);
    expect(value('CONFIG_X', INT, 'CONFIG_X=-1')).toEqual([255, 255, 255, 255]);
    expect(value('CONFIG_X', INT, 'CONFIG_X=010')).toEqual([8, 0, 0, 0]);
    expect(refused('CONFIG_X', INT, 'CONFIG_X=12z')).toMatch(/^-22 load: .*isn't a valid integer/);
  });

  test('[L-152] the first definition counts', () => {
    expect(value('CONFIG_A', INT, 'CONFIG_A=1\nCONFIG_A=2\n')).toEqual([1, 0, 0, 0]);
  });

  test('[L-153] a line without = is refused', () => {
    expect(refused('CONFIG_A', INT, 'CONFIG_A')).toMatch(/^-22 load: .*failed to parse 'CONFIG_A': no separator/);
    expect(refused('CONFIG_A', INT, 'CONFIG_A=')).toMatch(/^-22 load: .*no value/);
  });

  test('[L-154] a declaration that nobody uses makes no map', () => {
    const kit = oneProgram();
    kit.extern('CONFIG_X', '.kconfig', kit.int);
    kit.symbols.pop();
    const spec = strict(kit.build());
    expect([spec.maps, spec.externs]).toEqual([[], []]);
  });

  test('[L-155] kconfig variables lie by alignment, then size, then name', () => {
    const kit = oneProgram();
    const types: [string, number][] = [
      ['CONFIG_T', TEXT(kit)],
      ['CONFIG_X', BOOL(kit)],
      ['CONFIG_C', CHAR(kit)],
      ['CONFIG_HZ', kit.int],
      ['CONFIG_BPF', TRISTATE(kit)],
      ['CONFIG_LONG', kit.btf.int('long', 8, 1)],
    ];
    for (const [name, type] of types) kit.extern(name, '.kconfig', type);
    loading(kit, 'CONFIG_HZ');
    const kconfig = 'CONFIG_T="ab"\nCONFIG_X=y\nCONFIG_C=m\nCONFIG_HZ=250\nCONFIG_BPF=m\nCONFIG_LONG=-2\n';
    const spec = strict(kit.build(), { kconfig });
    expect(spec.externs.map((extern) => [extern.name, extern.offset])).toEqual([
      ['CONFIG_LONG', 0],
      ['CONFIG_BPF', 8],
      ['CONFIG_HZ', 12],
      ['CONFIG_C', 16],
      ['CONFIG_X', 17],
      ['CONFIG_T', 18],
    ]);
    const map = spec.maps[0]!;
    expect(map).toMatchObject({ name: 'obj.kconfig', valueSize: 23, flags: 0x480, frozen: true, origin: 'kconfig' });
    expect([...map.initial!]).toEqual([
      254, 255, 255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 250, 0, 0, 0, 109, 1, 97, 98, 0, 0, 0,
    ]);
    expect(insnText(spec.programs[1]!).slice(0, 2)).toEqual(['18 1 6 0 0', '00 0 0 0 12']);
    expect(decodeValue(spec.btf!, map.valueTypeId, map.initial!)).toEqual({
      CONFIG_LONG: -2n,
      CONFIG_BPF: 'TRI_MODULE',
      CONFIG_HZ: 250,
      CONFIG_C: 109,
      CONFIG_X: true,
      CONFIG_T: 'ab',
    });
  });
});
