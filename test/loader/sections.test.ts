import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { LoadError } from '../../src/base/error.ts';
import { createLab } from '../../src/lab.ts';
import { loadObject } from '../../src/loader/object.ts';
import { type Dialect, meaningOfSection } from '../../src/loader/sections.ts';
import { failure, ObjectKit, oneProgram, strict } from './object-kit.ts';

const meaning = (name: string, dialect: Dialect = 'libbpf') => {
  const found = meaningOfSection(name, dialect);
  return found ? `${found.type} ${found.expectedAttachType}` : 'unknown';
};

describe('section names', () => {
  test('the whole table of libbpf is known', (ctx) => {
    const file = '../shared/reference/loader/sec-names.json';
    if (!existsSync(file)) ctx.skip(`${file} is not there`);
    const { sections } = JSON.parse(readFileSync(file, 'utf8'));
    expect(sections.length).toBeGreaterThan(100);
    for (const row of sections) {
      const type = row.progType.replace('BPF_PROG_TYPE_', '').toLowerCase();
      const name = row.extras ? `${row.pattern}/target` : row.pattern;
      const found = meaningOfSection(name, 'libbpf');
      expect({ name, type: found?.type, id: found?.typeId }).toEqual({ name, type, id: row.progTypeNum });
      expect(found?.expectedAttachType).toBe(row.expectedAttachTypeNum);
      expect(found?.flags).toBe((row.sleepable ? 0x10 : 0) | (row.xdpFrags ? 0x20 : 0));
      expect(found?.attachTarget).toBe(row.extras ? 'target' : undefined);
      if (!row.extras) expect(meaning(`${row.pattern}_x`)).toBe('unknown');
    }
  });

  test('[L-030] an unknown name fails the load in libbpf; here the program is listed without type', () => {
    const kit = oneProgram();
    kit.func('foo', 'q');
    const bytes = kit.build();
    expect(failure(bytes)).toMatch(/^-22 load: .*prog 'q': missing BPF prog type, check ELF section name 'foo'/);
    const spec = loadObject(bytes);
    expect(spec.programs.map((program) => program.type)).toEqual(['xdp', 'unspec']);
    expect(spec.warnings.join()).toContain("prog 'q': missing BPF prog type");
  });

  test('a type given by the user wins, by program or by section', () => {
    const bytes = oneProgram('foo').build();
    expect(strict(bytes, { types: { foo: 'sched_cls' } }).programs[0]!.typeId).toBe(3);
    expect(strict(bytes, { types: { p: 'xdp' } }).programs[0]).toMatchObject({ typeId: 6, expectedAttachType: 37 });
    expect(failure(bytes, { types: { p: 'nope' } })).toContain(
      "unknown program type 'nope'; known types: socket_filter",
    );
  });

  test('[L-031] a question mark switches a program off, whatever its name', () => {
    const kit = oneProgram();
    kit.func('?foo', 'q');
    const spec = strict(kit.build());
    expect(spec.programs.map(({ name, autoload, section }) => [name, autoload, section])).toEqual([
      ['p', true, 'xdp'],
      ['q', false, 'foo'],
    ]);
  });

  test('[L-032] only one question mark is cut off', () => {
    expect(strict(oneProgram('??xdp').build()).programs[0]).toMatchObject({
      section: '?xdp',
      type: 'unspec',
      autoload: false,
    });
  });

  test.each(['xdp/foo', 'xdp1', 'tc/foo', 'classifier/foo', 'kprobefoo'])('[L-033] %s is unknown to libbpf', (name) => {
    expect(meaning(name)).toBe('unknown');
    expect(failure(oneProgram(name).build())).toMatch(/^-22 load: .*missing BPF prog type/);
  });

  test.each([
    ['xdp_foo', 'xdp 37'],
    ['classifier/x', 'sched_cls 0'],
    ['socket1', 'socket_filter 0'],
    ['cgroup/skb1', 'cgroup_skb 0'],
    ['action/foo', 'sched_act 0'],
    ['tc_x', 'unknown'],
    ['kprobe_x', 'unknown'],
    ['tc/ingress', 'unknown'],
    ['kprobe/x', 'kprobe 0'],
  ])('[L-034] libbpf 0.8 takes %s as %s', (name, expected) => {
    expect(meaning(name, 'libbpf-0.8')).toBe(expected);
  });

  test('[L-035] xdp_devmap/ and xdp_cpumap/ are rows of libbpf 0.8', () => {
    expect(meaning('xdp_devmap/x', 'libbpf-0.8')).toBe('xdp 33');
    expect(meaning('xdp_cpumap/x', 'libbpf-0.8')).toBe('xdp 35');
    expect(meaning('xdp_devmap/x', 'auto')).toBe('xdp 33');
  });

  test('[L-036] xdp.frags_x is plain xdp to libbpf 0.8', () => {
    const found = meaningOfSection('xdp.frags_x', 'libbpf-0.8')!;
    expect([found.type, found.expectedAttachType, found.flags]).toEqual(['xdp', 37, 0]);
  });

  test('[L-037] xdp.frags loads with BPF_F_XDP_HAS_FRAGS', () => {
    expect(strict(oneProgram('xdp.frags').build()).programs[0]).toMatchObject({ type: 'xdp', flags: 0x20 });
    expect(strict(oneProgram('xdp.frags/devmap').build()).programs[0]).toMatchObject({
      expectedAttachType: 33,
      flags: 0x20,
    });
  });

  test('[L-038] tc/ingress and tcx/egress name their hook', () => {
    expect(meaning('tc/ingress')).toBe('sched_cls 46');
    expect(meaning('tcx/egress')).toBe('sched_cls 47');
    expect(meaning('tc')).toBe('sched_cls 0');
  });

  test('[L-039] fentry without target fails the load', () => {
    expect(failure(oneProgram('fentry').build())).toMatch(/^-22 load: .*no BTF-based attach target is specified/);
  });

  test('[L-040] freplace needs a program to replace', () => {
    expect(failure(oneProgram('freplace/foo').build())).toMatch(/^-22 load: .*attach program FD is not set/);
  });

  test('[L-041] a kprobe target is not looked at', () => {
    expect(strict(oneProgram('kprobe/do_unlinkat').build()).programs[0]).toMatchObject({
      type: 'kprobe',
      attachTarget: 'do_unlinkat',
    });
  });

  test('[L-042] a program that is switched off may be nonsense', () => {
    const kit = oneProgram();
    // A call that leads nowhere and an opcode that does not exist: neither linked nor decoded.
    const nonsense = [0x85, 0x10, 0, 0, 100, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0];
    kit.func('?tc', 'off', nonsense);
    const bytes = kit.build();
    const spec = strict(bytes);
    expect(spec.programs[1]).toMatchObject({ name: 'off', autoload: false });
    expect([...spec.programs[1]!.insns]).toEqual(nonsense);
    const object = createLab().load(bytes, { dialect: 'libbpf' });
    expect(object.prog('p').run(new Uint8Array(64)).retval).toBe(2);
    expect(() => object.prog('off').program).toThrow(LoadError);
  });

  test.each([
    ['xdp_prog', 'xdp 37'],
    ['tc/tail', 'sched_cls 0'],
    ['tc_act', 'sched_act 0'],
    ['from-netdev', 'sched_cls 0'],
    ['af_xdp', 'xdp 37'],
    ['tcpfoo', 'unknown'],
    ['test', 'unknown'],
    ['redirect_xmit', 'sched_cls 0'],
    ['len_hist', 'lwt_xmit 0'],
    ['filter', 'socket_filter 0'],
  ])('beyond libbpf %s is %s', (name, expected) => {
    expect(meaning(name, 'auto')).toBe(expected);
    expect(meaning(name, 'libbpf')).toBe('unknown');
  });

  test('a foreign name is taken with a warning', () => {
    const kit = new ObjectKit();
    kit.func('xdp_prog', 'p');
    expect(loadObject(kit.build()).warnings.join()).toContain(
      "section name 'xdp_prog' is unknown to libbpf; taken as xdp",
    );
  });
});
