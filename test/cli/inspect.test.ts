import { describe, expect, test } from 'vitest';
import { bpflab, jsonLines } from './harness.ts';

describe('inspect', () => {
  test('firewall: programs, maps with their C types, what it needs', async () => {
    const { code, out } = await bpflab(['inspect', 'progs/firewall.bpf.o']);
    expect(code).toBe(0);
    expect(out).toMatchInlineSnapshot(`
      "firewall.bpf.o: license Dual BSD/GPL, BTF 49 types, 0 CO-RE relocations

      1 program
        name      section  type  insns  cpu  subprograms
        firewall  xdp      xdp     217  v3
        firewall calls map_lookup_elem, map_update_elem

      3 maps
        name     type          key                     value                  entries  flags
        blocked  lpm_trie      struct prefix (8 B)     __u64 (8 B)              1,024  NO_PREALLOC
        flows    lru_hash      struct flow_key (16 B)  struct flow (16 B)       4,096
        reasons  percpu_array  __u32 (4 B)             struct counter (16 B)        6

      types of keys and values
        struct prefix {
          __u32 bits;
          __be32 addr;
        };
        struct flow_key {
          __be32 addr[2];
          __be16 port[2];
          __u32 protocol;
        };
        struct flow {
          __u64 packets;
          __u64 bytes;
        };
        struct counter {
          __u64 packets;
          __u64 bytes;
        };

      needs    Linux 5.1 (jmp32); cpu v3, atomic_add, jlt, jmp32
      "
    `);
  });

  test('variables of data sections', async () => {
    const { out } = await bpflab(['inspect', 'progs/core_reads.bpf.o']);
    expect(out.slice(out.indexOf('\n1 map'))).toMatchInlineSnapshot(`
      "
      1 map
        name          type   key  value        entries  flags
        core_rea.bss  array  4 B  .bss (64 B)        1  MMAPABLE

      4 variables
        name          map           type
        report        core_rea.bss  struct report
        ipv4_packets  core_rea.bss  __u64
        version_sum   core_rea.bss  __u64
        ihl_sum       core_rea.bss  __u64

      needs    Linux 5.2 (global data); cpu v3, alu32, jmp32, global data
      "
    `);
  });

  test('inner maps, attach types and subprograms', async () => {
    expect((await bpflab(['inspect', 'progs/map_in_map.bpf.o'])).out).toMatch(
      /inner of port_counts +hash +__u16 \(2 B\)/,
    );
    expect((await bpflab(['inspect', 'progs/devmap_egress.bpf.o'])).out).toMatch(
      /xdp_egress +xdp\/devmap +xdp \(xdp_devmap\)/,
    );
    expect((await bpflab(['inspect', 'progs/subprogs.bpf.o'])).out).toContain('ipv4_checksum_right, ');
  });

  test('JSON has the same', async () => {
    const { out } = await bpflab(['inspect', 'progs/firewall.bpf.o', '-j']);
    expect(out.trimEnd()).not.toContain('\n');
    expect(jsonLines(out)[0]).toEqual({
      file: 'firewall.bpf.o',
      license: 'Dual BSD/GPL',
      programs: [
        {
          name: 'firewall',
          section: 'xdp',
          type: 'xdp',
          attachType: 'xdp',
          flags: 0,
          autoload: true,
          insns: 217,
          cpu: 3,
          subprograms: [],
          helpers: ['bpf_map_lookup_elem', 'bpf_map_update_elem'],
          kfuncs: [],
          missing: [],
        },
      ],
      maps: [
        expect.objectContaining({
          name: 'blocked',
          type: 'lpm_trie',
          key: { size: 8, type: 'struct prefix' },
          flags: ['NO_PREALLOC'],
        }),
        expect.objectContaining({ name: 'flows', maxEntries: 4096 }),
        expect.objectContaining({ name: 'reasons', type: 'percpu_array' }),
      ],
      externs: [],
      kfuncs: [],
      variables: [],
      btf: { types: 49 },
      relocations: { core: 0 },
      features: expect.objectContaining({ cpu: 3, mapTypes: ['lpm_trie', 'lru_hash', 'percpu_array'] }),
      kernel: { version: '5.1', because: 'jmp32' },
      warnings: [],
    });
  });
});

describe('disasm', () => {
  test('function, instructions and C lines', async () => {
    const { out } = await bpflab(['disasm', 'progs/parse_count.bpf.o', '--source']);
    expect(out.split('\n').slice(0, 8).join('\n')).toMatchInlineSnapshot(`
      "int parse_count(struct xdp_md *ctx):  ; section xdp
      ; void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;  (progs/parse_count.bpf.c:48)
         0: (61) r6 = *(u32 *)(r1 +4)
         1: (61) r7 = *(u32 *)(r1 +0)
         2: (b4) w3 = 0
      ; if (header + size > end) return 0;  (progs/packet.h:28)
         3: (16) if w7 == 0x0 goto pc+10
         4: (bf) r1 = r7"
    `);
  });

  test('names in place of numbers: maps, variables, functions, helpers', async () => {
    expect((await bpflab(['disasm', 'progs/parse_count.bpf.o'])).out).toContain('(18) r1 = map[protocols]');
    expect((await bpflab(['disasm', 'progs/globals.bpf.o'])).out).toContain(
      '(18) r4 = map[globals.bss][0]+0 <packets>',
    );
    const loop = (await bpflab(['disasm', 'progs/loop_callbacks.bpf.o'])).out;
    expect(loop).toContain('(18) r2 = subprog[+31] <one_option>');
    expect(loop).toContain('(85) call bpf_loop#181');
    expect((await bpflab(['disasm', 'progs/subprogs.bpf.o'])).out).toContain('(85) call pc+14#ipv4_checksum_right');
  });

  test('bytes of both halves of a wide instruction', async () => {
    const { out } = await bpflab(['disasm', 'progs/globals.bpf.o', '--raw']);
    expect(out).toContain(
      '   2: (18) r2 = map[globals.rodata][0]+5 <greeting>\n       18 62 00 00 00 00 00 00 00 00 00 00 05 00 00 00\n',
    );
  });

  test('one program of several, by name or section', async () => {
    const both = await bpflab(['disasm', 'progs/devmap_egress.bpf.o', '-j']);
    expect(jsonLines(both.out).map((row) => row.program)).toEqual(['xdp_redirect', 'xdp_egress']);
    for (const name of ['xdp_egress', 'xdp/devmap']) {
      const { out } = await bpflab(['disasm', 'progs/devmap_egress.bpf.o', '-j', '-s', name]);
      expect(jsonLines(out)).toMatchObject([{ program: 'xdp_egress', insns: expect.any(Array) }]);
    }
  });
});

describe('features', () => {
  test('counts add up with the tables, and every row says since when', async () => {
    const { code, out } = await bpflab(['features', '-j']);
    expect(code).toBe(0);
    const [features] = jsonLines(out) as [Record<string, { supported: string; since?: string; name: string }[]>];
    const summary = features.summary as unknown as Record<string, { yes: number; partly: number; no: number }>;
    for (const kind of ['instructions', 'helpers', 'kfuncs', 'maps', 'programs']) {
      const rows = features[kind]!;
      expect(rows.length).toBeGreaterThan(20);
      for (const answer of ['yes', 'partly', 'no'] as const) {
        expect(summary[kind]![answer]).toBe(rows.filter((row) => row.supported === answer).length);
      }
      if (kind !== 'kfuncs') expect(rows.every((row) => /^\d\.\d+$/.test(row.since!))).toBe(true);
    }
    const helper = (name: string) => features.helpers!.find((row) => row.name === name)!.supported;
    expect([helper('bpf_map_lookup_elem'), helper('bpf_rc_repeat')]).toEqual(['yes', 'no']);
  });

  test('one kind as a table', async () => {
    const { out } = await bpflab(['features', 'maps']);
    expect(out).toMatch(/^maps +here +since\nhash +yes +3\.19\n/);
    expect(out).toMatch(/^sockmap +no +4\.14$/m);
    expect(out).not.toContain('bpf_');
  });
});

describe('help', () => {
  test.each(['inspect', 'disasm', 'run', 'features', 'conformance'])('%s --help', async (command) => {
    const { code, out, err } = await bpflab([command, '--help']);
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain(`Usage: bpflab ${command}`);
  });

  test('bpflab --version', async () => {
    expect(await bpflab(['--version'])).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });
});

describe('colour', () => {
  test('on a terminal only, and not with NO_COLOR', async () => {
    const args = ['run', 'progs/parse_count.bpf.o', '--in', 'progs/captures/syn.pcap'];
    const esc = String.fromCharCode(27);
    expect((await bpflab(args)).out).not.toContain(esc);
    expect((await bpflab(args, { tty: true })).out).toContain(`${esc}[1m`);
    expect((await bpflab(args, { tty: true, env: { NO_COLOR: '1' } })).out).not.toContain(esc);
  });
});
