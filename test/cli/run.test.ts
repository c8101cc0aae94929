import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { CaptureReader } from '../../src/packet/capture-reader.ts';
import { bpflab, jsonLines } from './harness.ts';

const dir = mkdtempSync(join(tmpdir(), 'bpflab-run-'));
afterAll(() => rmSync(dir, { recursive: true }));
const at = (name: string) => join(dir, name);
const file = (name: string, contents: string | Uint8Array) => {
  writeFileSync(at(name), contents);
  return at(name);
};
const bytesOf = (path: string) => new Uint8Array(readFileSync(path));

const SYN = 'progs/captures/syn.pcap';
/** The first packet of syn.pcap. */
const HEX =
  '02000000000202000000000108004500003c00000000400666b30a0000010a0000090fa100160000000000000000a002ffff20580000' +
  '020405b40402080a000003e80000000001030307';

function packetsIn(path: string) {
  const reader = new CaptureReader();
  const packets = reader.push(bytesOf(path));
  reader.end();
  return { packets, interfaces: reader.interfaces, error: reader.error, format: reader.format };
}

describe('a table of packets, the summary and what changed in maps', () => {
  test('firewall on twelve packets', async () => {
    const { code, out, err } = await bpflab(['run', 'progs/firewall.bpf.o', '--in', SYN]);
    expect(code).toBe(0);
    expect(err).toBe('');
    expect(out).toMatchInlineSnapshot(`
      " #  in                                                    verdict   insns  out
       1  10.0.0.1:4001 > 10.0.0.9:22    TCP S   74B            XDP_PASS    115  -
       2  10.0.0.1:4002 > 10.0.0.9:443   TCP S   74B            XDP_PASS    115  -
       3  10.0.0.9:443 > 10.0.0.1:4002   TCP SA  74B            XDP_PASS    107  -
       4  10.0.0.1:4002 > 10.0.0.9:443   TCP A   54B            XDP_PASS    107  -
       5  10.0.0.2:4003 > 10.0.0.9:80    TCP S   74B            XDP_PASS    115  -
       6  10.0.0.66:4004 > 10.0.0.9:80   TCP S   74B            XDP_PASS    115  -
       7  10.0.0.1:4005 > 10.0.0.9:53    UDP     71B            XDP_PASS    106  -
       8  10.0.0.9:53 > 10.0.0.1:4005    UDP     89B            XDP_PASS     99  -
       9  10.0.0.2:4006 > 10.0.0.9:123   UDP     90B            XDP_PASS    106  -
      10  10.0.0.1 > 10.0.0.9            ICMP echo request 90B  XDP_PASS     85  -
      11  10.0.0.9 > 10.0.0.1            ICMP echo reply 90B    XDP_PASS     78  -
      12  10.0.0.1 > 10.0.0.9            ARP request 60B        XDP_PASS     31  -
      12 packets: 12 pass
      maps
        flows[{addr: [10.0.0.1, 10.0.0.9], port: [4002, 443], protocol: 6}] = {packets: 3, bytes: 202}
        flows[{addr: [10.0.0.1, 10.0.0.9], port: [4001, 22], protocol: 6}] = {packets: 1, bytes: 74}
        flows[{addr: [10.0.0.2, 10.0.0.9], port: [4003, 80], protocol: 6}] = {packets: 1, bytes: 74}
        flows[{addr: [10.0.0.1, 10.0.0.9], port: [4005, 53], protocol: 17}] = {packets: 2, bytes: 160}
        flows[{addr: [10.0.0.2, 10.0.0.9], port: [4006, 123], protocol: 17}] = {packets: 1, bytes: 90}
        flows[{addr: [10.0.0.9, 10.0.0.66], port: [80, 4004], protocol: 6}] = {packets: 1, bytes: 74}
        flows[{addr: [10.0.0.1, 10.0.0.9], port: [0, 0], protocol: 1}] = {packets: 2, bytes: 180}
        reasons[0] = cpu 0: {packets: 1, bytes: 60}
        reasons[2] = cpu 0: {packets: 7, bytes: 547}
        reasons[3] = cpu 0: {packets: 4, bytes: 307}
      "
    `);
  });

  test('blocked prefixes come from a JSON file, and hits are counted in the map', async () => {
    const blocked = file('blocked.json', '[{"key": {"bits": 24, "addr": "10.0.0.0"}, "value": 0}]');
    const { code, out } = await bpflab(['run', 'progs/firewall.bpf.o', '--in', SYN, '--map', `blocked=${blocked}`]);
    expect(code).toBe(0);
    expect(out.split('\n').slice(-5)).toMatchInlineSnapshot(`
      [
        "maps",
        "  blocked[{bits: 24, addr: 10.0.0.0}] = 11",
        "  reasons[0] = cpu 0: {packets: 1, bytes: 60}",
        "  reasons[1] = cpu 0: {packets: 11, bytes: 854}",
        "",
      ]
    `);
  });

  test('what a program did to the packet is told field by field', async () => {
    const { out } = await bpflab(['run', 'progs/vlan.bpf.o', '-s', 'vlan_push', '--in', SYN, '--limit', '2']);
    expect(out).toMatchInlineSnapshot(`
      "#  in                                          verdict   insns  out
      1  10.0.0.1:4001 > 10.0.0.9:22    TCP S   74B  XDP_PASS     50  +vlan 100
      2  10.0.0.1:4002 > 10.0.0.9:443   TCP S   74B  XDP_PASS     50  +vlan 100
      2 packets: 2 pass
      "
    `);
  });

  test('a redirect names its map, the device and the program behind it', async () => {
    const ports = file('ports.json', '{"0": {"ifindex": 4, "prog": "xdp_egress"}}');
    const args = ['run', 'progs/devmap_egress.bpf.o', '-s', 'xdp_redirect', '--in', SYN, '--limit', '1'];
    const { out } = await bpflab([...args, '--map', `tx_port=${ports}`]);
    expect(out).toMatchInlineSnapshot(`
      "#  in                                          verdict       insns  out
      1  10.0.0.1:4001 > 10.0.0.9:22    TCP S   74B  XDP_REDIRECT      5  to ifindex 4 via tx_port[0], program xdp_egress
      1 packet: 1 redirect (ifindex 4 via tx_port[0], program xdp_egress)
      "
    `);
  });

  test('a devmap program runs alone, which the kernel refuses', async () => {
    const { code, out } = await bpflab(['run', 'progs/devmap_egress.bpf.o', '-s', 'xdp/devmap', '--in', SYN]);
    expect(code).toBe(0);
    expect(out).toContain('12 packets');
  });

  test.each([
    ['tc', 'tc_classify', [], 'TC_ACT_OK', '12 packets: 11 ok, 1 unspec'],
    ['socket filter', 'socket_filter', [], 'keep 65535', '12 packets: 11 keep, 1 drop'],
    ['cgroup_skb', 'cgroup_skb', ['-s', 'ingress'], 'PASS', '12 packets: 12 pass'],
    ['lwt', 'lwt', [], 'BPF_OK', '12 packets: 12 ok'],
    ['cpumap', 'cpumap_spread', ['-s', 'xdp_on_cpu'], 'XDP_PASS', '12 packets: 12 pass'],
  ])('a %s program has the verdicts of its type', async (_type, name, more, verdict, summary) => {
    const { code, out } = await bpflab(['run', `progs/${name}.bpf.o`, '--in', SYN, ...more]);
    expect(code).toBe(0);
    expect(out).toContain(verdict);
    expect(out).toContain(summary);
  });

  test('only the first 20 packets are shown unless all are asked for', async () => {
    const args = ['run', 'progs/frags.bpf.o', '--in', 'progs/captures/mixed.pcap'];
    const few = await bpflab(args);
    const all = await bpflab([...args, '--all']);
    const rows = (out: string) => out.split('\n').filter((line) => / (XDP_\w+|refused) /.test(line)).length;
    expect(rows(few.out)).toBe(20);
    expect(few.out).toContain('... 177 more packets (--all shows every one)');
    expect(rows(all.out)).toBe(197);
    expect(all.out).not.toContain('more packets');
    expect((await bpflab([...args, '--summary'])).out).toMatch(/^197 packets: /);
  });

  test('the trace has every instruction, its registers and C lines', async () => {
    const { out } = await bpflab(['run', 'progs/lwt.bpf.o', '--in', HEX, '--trace']);
    const lines = out.split('\n');
    expect(lines.filter((line) => /^ +\d+: \(/.test(line))).toHaveLength(28);
    expect(lines.slice(1, 7).join('\n')).toMatchInlineSnapshot(`
      "packet 1
        ; int lwt(struct __sk_buff *skb) {  (progs/lwt.bpf.c:15)
           0: (b4) w0 = 0
        ; void *pos = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;  (progs/lwt.bpf.c:16)
           1: (61) r2 = *(u32 *)(r1 +76)                       r2=0x1204e
        ; if (header + size > end) return 0;  (progs/packet.h:28)"
    `);
  });

  test('stats count instructions', async () => {
    const { out } = await bpflab(['run', 'progs/lwt.bpf.o', '--in', HEX, '--stats']);
    expect(out).toMatch(/stats: insns 28, insns\/packet 28, least 28, most 28/);
  });
});

describe('packets from anywhere', () => {
  const run = ['run', 'progs/parse_count.bpf.o'];
  test.each([
    ['hex', { args: ['--in', HEX] }, 1],
    ['hex with blanks and colons', { args: ['--in', `0x${HEX.replace(/(....)/g, '$1:').replace(/:$/, '')}`] }, 1],
    ['a capture on standard input', { stdin: bytesOf(SYN) }, 12],
    ['a capture on standard input, named', { stdin: bytesOf(SYN), args: ['--in', '-'] }, 12],
    [
      'standard input in small pieces',
      { stdin: Array.from({ length: 1130 }, (_, i) => bytesOf(SYN).slice(i, i + 1)) },
      12,
    ],
    ['lines of hex on standard input', { stdin: `${HEX}\n\n${HEX}\n${HEX}` }, 3],
    ['a gzip file', { args: ['--in', file('syn.pcap.gz', gzipSync(bytesOf(SYN)) as unknown as Uint8Array)] }, 12],
  ] as const)(
    '%s',
    async (_name, { stdin, args }: { stdin?: string | Uint8Array | Uint8Array[]; args?: readonly string[] }, count) => {
      const { code, out } = await bpflab([...run, ...(args ?? [])], stdin === undefined ? {} : { stdin });
      expect(out).toContain(`${count} packet${count === 1 ? '' : 's'}: ${count} pass`);
      expect(code).toBe(0);
    },
  );

  test('the object from standard input', async () => {
    const { out } = await bpflab(['run', '-', '--in', HEX], { stdin: bytesOf('progs/parse_count.bpf.o') });
    expect(out).toContain('1 packet: 1 pass');
  });

  test("bpftool's words take and give raw bytes, and the context struct", async () => {
    const packet = file('packet.bin', Uint8Array.from(Buffer.from(HEX, 'hex')));
    const ctx = new Uint8Array(192);
    new DataView(ctx.buffer).setUint32(8, 7, true);
    const words = [
      'data_in',
      packet,
      'data_out',
      at('out.bin'),
      'ctx_in',
      file('ctx.bin', ctx),
      'ctx_out',
      at('ctx_out.bin'),
      'repeat',
      '3',
    ];
    const { code } = await bpflab(['run', 'progs/tc_classify.bpf.o', ...words]);
    expect(code).toBe(0);
    expect(Buffer.from(readFileSync(at('out.bin'))).toString('hex')).toBe(HEX);
    const context = bytesOf(at('ctx_out.bin'));
    expect(context).toHaveLength(192);
    expect(new DataView(context.buffer).getUint32(40, true)).toBe(1);
  });

  test('repeat runs on the same buffer: three times four bytes of tag', async () => {
    const { out } = await bpflab(['run', 'progs/vlan.bpf.o', '-s', 'vlan_push', '--in', HEX, '--repeat', '3', '-j']);
    expect(jsonLines(out)[0]).toMatchObject({ out: { length: 74 + 12 } });
  });
});

describe('what is set before the run', () => {
  test('context fields', async () => {
    const { out } = await bpflab([
      'run',
      'progs/tc_classify.bpf.o',
      '--in',
      HEX,
      '--ctx',
      'mark=0x11',
      '--ctx',
      'priority=3',
      '--maps',
    ]);
    expect(out).toMatch(/last\[0\] = \{len: 74, protocol: 2048, mark: \d+, priority: \d+/);
    const wrong = await bpflab(['run', 'progs/tc_classify.bpf.o', '--in', HEX, '--ctx', 'marc=1']);
    expect(wrong.code).toBe(2);
    expect(wrong.err).toContain('struct __sk_buff has no such field');
  });

  test('programs, maps and CPUs as map entries, by name', async () => {
    const run = async (object: string, section: string, map: string, json: string) => {
      const args = [
        'run',
        `progs/${object}.bpf.o`,
        '-s',
        section,
        '--in',
        HEX,
        '--map',
        `${map}=${file('e.json', json)}`,
      ];
      const { out, err } = await bpflab([...args, '--maps']);
      return err + out;
    };
    expect(await run('tail_calls', 'classify', 'handlers', '{"6": "handle_udp"}')).toContain(
      'handlers[6] = handle_udp\n',
    );
    expect(await run('map_in_map', 'xdp', 'limits', '{"0": "limits_b"}')).toMatch(
      /limits\[0\] = limits_b\n {2}limits\[1\] = limits_b\n/,
    );
    expect(await run('cpumap_spread', 'xdp_spread', 'cpus', '{"1": {"qsize": 64, "prog": "xdp_on_cpu"}}')).toContain(
      'cpus[1] = {qsize: 64, prog: xdp_on_cpu}\n',
    );
    expect(await run('tail_calls', 'classify', 'handlers', '{"6": "nothing"}')).toContain('has no program nothing');
    expect(await run('cpumap_spread', 'xdp_spread', 'cpus', '{"1": {"prog": "xdp_on_cpu"}}')).toContain(
      '{"qsize": N, "prog": NAME}',
    );
  });

  test('entries with a value per CPU as bpftool prints them', async () => {
    const word = (first: string) => [first, ...Array(7).fill('0x00')];
    const values = [5, 6].map((n, cpu) => ({ cpu, value: [...word(`0x0${n}`), ...word('0x07')] }));
    const json = JSON.stringify([{ key: ['0x01', '0x00', '0x00', '0x00'], values }]);
    const map = `protocols=${file('percpu.json', json)}`;
    const { out } = await bpflab(['run', 'progs/parse_count.bpf.o', '--in', HEX, '--summary', '--maps', '--map', map]);
    expect(out).toContain('protocols[1] = cpu 0: {packets: 5, bytes: 7}  cpu 1: {packets: 6, bytes: 7}');
  });

  test('lines of hex with comments', async () => {
    const path = file('lines.txt', `# first\n${HEX}  # a packet\n\n${HEX}\n`);
    const { code, out } = await bpflab(['run', 'progs/parse_count.bpf.o', '--in', path, '--summary']);
    expect([code, out.split('\n')[0]]).toEqual([0, '2 packets: 2 pass']);
  });

  test('entries as bpftool prints them, and values of a queue', async () => {
    const dump =
      '[{"key": ["0x18","0x00","0x00","0x00","0x0a","0x00","0x00","0x00"], "value": ["0x00","0x00","0x00","0x00","0x00","0x00","0x00","0x00"]}]';
    const blocked = await bpflab([
      'run',
      'progs/firewall.bpf.o',
      '--in',
      SYN,
      '--summary',
      '--map',
      `blocked=${file('d.json', dump)}`,
    ]);
    expect(blocked.out).toContain('blocked[{bits: 24, addr: 10.0.0.0}] = 11');
    const queue = await bpflab([
      'run',
      'progs/queue_stack.bpf.o',
      '--in',
      SYN,
      '--map',
      `free_ports=${file('q.json', '[7, 8]')}`,
    ]);
    expect(queue.code).toBe(0);
    const wrong = await bpflab([
      'run',
      'progs/queue_stack.bpf.o',
      '--in',
      SYN,
      '--map',
      `free_ports=${file('q.json', '{}')}`,
    ]);
    expect(wrong.err).toContain('a queue takes an array of values');
  });

  test('global variables', async () => {
    const args = ['run', 'progs/globals.bpf.o', '--in', HEX];
    const plain = await bpflab(args);
    expect(plain.out).toContain('sequence = 1001');
    expect((await bpflab([...args, '--set', 'sequence=41'])).out).toContain('sequence = 42');
    const wrong = await bpflab([...args, '--set', 'nonsense=1']);
    expect(wrong.code).toBe(2);
    expect(wrong.err).toContain('nonsense');
  });

  test('sizes of maps', async () => {
    const args = ['run', 'progs/firewall.bpf.o', '--in', SYN, '--max-entries'];
    expect((await bpflab([...args, 'blocked=5'])).code).toBe(0);
    expect((await bpflab([...args, 'bloked=5'])).err).toContain('its maps: blocked, flows, reasons');
    expect((await bpflab([...args, 'blocked=x'])).code).toBe(2);
  });

  test('the type of a program whose section says nothing', async () => {
    const object = bytesOf('progs/parse_count.bpf.o');
    // The section's name `xdp` is the end of `.relxdp`.
    const text = Buffer.from(object).toString('latin1').replaceAll('relxdp\0', 'relxyz\0');
    const path = file('xyz.o', Uint8Array.from(Buffer.from(text, 'latin1')));
    const plain = await bpflab(['run', path, '--in', HEX]);
    expect(plain.code).toBe(3);
    expect(plain.err).toContain('--type xdp');
    expect((await bpflab(['run', path, '--in', HEX, '--type', 'xdp'])).out).toContain('1 packet: 1 pass');
    expect((await bpflab(['run', path, '--in', HEX, '--type', 'xpd'])).code).toBe(2);
  });

  test('the CPU that runs the program', async () => {
    const { out } = await bpflab(['run', 'progs/parse_count.bpf.o', '--in', HEX, '--cpu', '3', '--cpus', '4']);
    expect(out).toContain('cpu 3: {packets: 1, bytes: 74}');
    expect((await bpflab(['run', 'progs/parse_count.bpf.o', '--in', HEX, '--cpu', '2'])).code).toBe(2);
  });
});

describe('packets out', () => {
  test('pcapng has each packet with verdict, number and what changed', async () => {
    await bpflab(['run', 'progs/vlan.bpf.o', '-s', 'vlan_push', '--in', SYN, '--out', at('out.pcapng')]);
    const { packets, interfaces, error } = packetsIn(at('out.pcapng'));
    expect(error).toBeUndefined();
    expect(interfaces.map((row) => row.name)).toEqual(['lo:vlan_push()@exit']);
    expect(packets).toHaveLength(12);
    expect(packets[0]!.data).toHaveLength(78);
    expect(packets[0]!.timestamp).toBe(packetsIn(SYN).packets[0]!.timestamp);
    expect(packets[0]!.options).toMatchObject({
      packetId: 1n,
      verdicts: [{ by: 'xdp', value: 2 }],
      comments: ['+vlan 100'],
    });
  });

  test('pcap has only packets that go on', async () => {
    const blocked = file('two.json', '[[{"bits": 32, "addr": "10.0.0.2"}, 0]]');
    await bpflab(['run', 'progs/firewall.bpf.o', '--in', SYN, '--map', `blocked=${blocked}`, '--out', at('out.pcap')]);
    const { packets, format } = packetsIn(at('out.pcap'));
    expect(format).toBe('pcap');
    expect(packets).toHaveLength(10);
  });

  test('on standard output, with the report on standard error', async () => {
    const { bytes, err } = await bpflab(['run', 'progs/parse_count.bpf.o', '--in', SYN, '--out', '-']);
    const reader = new CaptureReader();
    expect(reader.push(bytes)).toHaveLength(12);
    expect(err).toContain('12 packets: 12 pass');
  });

  test('packets of programs that start at the IP header keep their Ethernet header', async () => {
    await bpflab(['run', 'progs/lwt.bpf.o', '--in', SYN, '--out', at('lwt.pcapng')]);
    expect(packetsIn(at('lwt.pcapng')).packets[0]!.data).toEqual(packetsIn(SYN).packets[0]!.data);
  });
});

describe('events', () => {
  const ring = ['run', 'progs/ringbuf_events.bpf.o', '--in', SYN, '--limit', '1'];
  test('ring buffer records by the struct that a global pointer of the object points to', async () => {
    const { out } = await bpflab(ring);
    expect(out.split('\n').slice(3, 5)).toMatchInlineSnapshot(`
      [
        "events",
        "  #1  events  {kind: 1, saddr: 10.0.0.1, daddr: 10.0.0.9, source: 4001, dest: 22, length: 74}",
      ]
    `);
  });

  test('records by a named type, and as bytes where it does not fit', async () => {
    expect((await bpflab([...ring, '--event', 'events=struct event'])).out).toContain('#1  events  {kind: ');
    expect((await bpflab([...ring, '--event', 'events=xdp_md'])).out).toContain('#1  events  0x010000000a000001');
    const wrong = await bpflab([...ring, '--event', 'events=nothing']);
    expect(wrong.code).toBe(2);
    expect(wrong.err).toContain('no struct or typedef nothing');
  });

  test('perf samples name their CPU', async () => {
    const { out } = await bpflab(['run', 'progs/perf_events.bpf.o', '--in', SYN, '--limit', '1', '-j']);
    expect(jsonLines(out)[1]).toMatchObject({
      event: 'samples',
      pkt: 1,
      cpu: 0,
      data: { captured: 74 },
      rest: expect.stringContaining(HEX),
    });
  });
});

describe('JSON', () => {
  test('a line per packet, per map, and the summary', async () => {
    const { out } = await bpflab(['run', 'progs/firewall.bpf.o', '--in', SYN, '--limit', '2', '-j']);
    const lines = jsonLines(out);
    expect(lines).toHaveLength(5);
    expect(lines[0]).toEqual({
      pkt: 1,
      time: '1767225600.000000000',
      in: expect.objectContaining({ from: '10.0.0.1:4001', to: '10.0.0.9:22', protocol: 'TCP', info: 'S', length: 74 }),
      verdict: 'XDP_PASS',
      retval: 2,
      insns: 115,
      out: { length: 74, changes: [] },
    });
    expect(lines[2]).toMatchObject({
      map: 'flows',
      type: 'lru_hash',
      entries: [{ value: { packets: 1, bytes: 74 } }, {}],
    });
    expect(lines[4]).toEqual({
      summary: {
        program: 'firewall',
        packets: 2,
        verdicts: { pass: 2 },
        redirects: {},
        faults: 0,
        refused: 0,
        events: {},
        insns: 230,
      },
    });
  });

  test('changes are objects', async () => {
    const { out } = await bpflab(['run', 'progs/vlan.bpf.o', '-s', 'vlan_push', '--in', HEX, '-j']);
    expect(jsonLines(out)[0]).toMatchObject({
      out: {
        changes: [
          { kind: 'field', derived: true },
          { kind: 'added', layer: 'vlan', offset: 14, length: 4 },
        ],
      },
    });
  });

  test('-p is indented, --summary leaves the packets out', async () => {
    const args = ['run', 'progs/parse_count.bpf.o', '--in', SYN];
    expect((await bpflab([...args, '-p'])).out).toMatch(/^\{\n {2}"pkt": 1,/);
    const lines = jsonLines((await bpflab([...args, '-j', '--summary'])).out);
    expect(lines.map((line) => Object.keys(line)[0])).toEqual(['map', 'summary']);
  });
});
