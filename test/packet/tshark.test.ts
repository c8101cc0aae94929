import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readCaptureBytes } from '../../src/packet/capture-reader.ts';
import { type Dissection, dissect, verifyChecksums } from '../../src/packet/dissect.ts';
import type { Layer } from '../../src/packet/layer.ts';

const capture = new URL('../../progs/captures/mixed.pcap', import.meta.url);
const recorded = new URL('../recorded/tshark-mixed.json', import.meta.url);

/** Our field, and what tshark calls it (two names: of the outer and of the inner header). */
const FIELDS: readonly (readonly [layer: string, field: string, tshark: string])[] = [
  ['eth', 'dst', 'eth.dst'],
  ['eth', 'src', 'eth.src'],
  ['vlan', 'pcp', 'ieee8021ad.priority vlan.priority'],
  ['vlan', 'id', 'ieee8021ad.id vlan.id'],
  ['arp', 'op', 'arp.opcode'],
  ['arp', 'sha', 'arp.src.hw_mac'],
  ['arp', 'spa', 'arp.src.proto_ipv4'],
  ['arp', 'tha', 'arp.dst.hw_mac'],
  ['arp', 'tpa', 'arp.dst.proto_ipv4'],
  ['ip4', 'dscp', 'ip.dsfield.dscp'],
  ['ip4', 'ecn', 'ip.dsfield.ecn'],
  ['ip4', 'len', 'ip.len'],
  ['ip4', 'id', 'ip.id'],
  ['ip4', 'ttl', 'ip.ttl'],
  ['ip4', 'proto', 'ip.proto'],
  ['ip4', 'checksum', 'ip.checksum'],
  ['ip4', 'src', 'ip.src'],
  ['ip4', 'dst', 'ip.dst'],
  ['ip6', 'flow', 'ipv6.flow'],
  ['ip6', 'plen', 'ipv6.plen'],
  ['ip6', 'next', 'ipv6.nxt'],
  ['ip6', 'hlim', 'ipv6.hlim'],
  ['ip6', 'src', 'ipv6.src'],
  ['hopopts', 'len', 'ipv6.hopopts.len'],
  ['dstopts', 'len', 'ipv6.dstopts.len'],
  ['routing', 'segleft', 'ipv6.routing.segleft'],
  ['fragment', 'frag', 'ipv6.fraghdr.offset'],
  ['fragment', 'id', 'ipv6.fraghdr.ident'],
  ['icmp', 'type', 'icmp.type'],
  ['icmp', 'code', 'icmp.code'],
  ['icmp', 'checksum', 'icmp.checksum'],
  ['icmp', 'id', 'icmp.ident'],
  ['icmp', 'mtu', 'icmp.mtu'],
  ['icmp', 'gateway', 'icmp.redir_gw'],
  ['icmp6', 'type', 'icmpv6.type'],
  ['icmp6', 'checksum', 'icmpv6.checksum'],
  ['icmp6', 'mtu', 'icmpv6.mtu'],
  ['tcp', 'sport', 'tcp.srcport'],
  ['tcp', 'dport', 'tcp.dstport'],
  ['tcp', 'seq', 'tcp.seq_raw'],
  ['tcp', 'ack', 'tcp.ack_raw'],
  ['tcp', 'flags', 'tcp.flags'],
  ['tcp', 'window', 'tcp.window_size_value'],
  ['tcp', 'checksum', 'tcp.checksum'],
  ['tcp', 'urgptr', 'tcp.urgent_pointer'],
  ['udp', 'sport', 'udp.srcport'],
  ['udp', 'dport', 'udp.dstport'],
  ['udp', 'len', 'udp.length'],
  ['udp', 'checksum', 'udp.checksum'],
  ['gre', 'type', 'gre.proto'],
  ['gre', 'key', 'gre.key'],
  ['gre', 'seq', 'gre.sequence_number'],
  ['gre', 'checksum', 'gre.checksum'],
  ['vxlan', 'vni', 'vxlan.vni'],
  ['geneve', 'vni', 'geneve.vni'],
  ['mpls', 'label', 'mpls.label'],
  ['mpls', 'tc', 'mpls.exp'],
  ['mpls', 'bos', 'mpls.bottom'],
  ['mpls', 'ttl', 'mpls.ttl'],
];

/** Verdicts on checksums: 0 bad, 1 good, 2 not checked, 3 not there. */
const CHECKSUMS: readonly (readonly [layer: string, tshark: string])[] = [
  ['ip4', 'ip.checksum.status'],
  ['icmp', 'icmp.checksum.status'],
  ['icmp6', 'icmpv6.checksum.status'],
  ['tcp', 'tcp.checksum.status'],
  ['udp', 'udp.checksum.status'],
  ['gre', 'gre.checksum.status'],
];

interface Recording {
  readonly tshark: string;
  readonly capture: string;
  /** Per packet: protocols, then the fields that are there. */
  readonly packets: readonly { readonly protocols: string; readonly fields: Readonly<Record<string, string[]>> }[];
}

const captureBytes = () => new Uint8Array(readFileSync(capture));
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

function record(): Recording {
  const names = [...FIELDS.flatMap((row) => row[2].split(' ')), ...CHECKSUMS.map((row) => row[1])];
  const preferences = [
    ...['ip.defragment:FALSE', 'ipv6.defragment:FALSE', 'tcp.desegment_tcp_streams:FALSE'],
    ...['ip.check_checksum:TRUE', 'tcp.check_checksum:TRUE', 'udp.check_checksum:TRUE'],
  ].flatMap((preference) => ['-o', preference]);
  const fields = ['frame.protocols', ...names].flatMap((name) => ['-e', name]);
  const args = ['-n', '-r', capture.pathname, ...preferences, '-T', 'fields', '-E', 'aggregator=;', ...fields];
  const lines = execFileSync('tshark', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const packets = lines
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [protocols = '', ...values] = line.split('\t');
      const present = names.flatMap((name, i) => (values[i] ? [[name, values[i].split(';')] as const] : []));
      return { protocols, fields: Object.fromEntries(present) };
    });
  const version = execFileSync('tshark', ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return { tshark: version.split('\n')[0]!, capture: sha256(captureBytes()), packets };
}

if (process.env.RECORD) {
  mkdirSync(new URL('.', recorded), { recursive: true });
  const { packets: rows, ...head } = record();
  const lines = rows.map((row) => JSON.stringify(row)).join(',\n');
  writeFileSync(recorded, `${JSON.stringify(head).slice(0, -1)},"packets":[\n${lines}\n]}\n`);
}
const recording = JSON.parse(readFileSync(recorded, 'utf8')) as Recording;
const { packets } = readCaptureBytes(captureBytes());

const number = (text: string) => (/^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : { True: 1, False: 0 }[text]);

function ours(layers: readonly Layer[], name: string, field: string): (string | number)[] {
  return layers
    .filter((layer) => layer.name === name)
    .map((layer) => layer.value(field))
    .filter((value): value is string | number => value !== undefined);
}

/** tshark puts the frame's length for an IPv4 length of 0, and shows an MTU only where the code says that it is one. */
const theySayMore = (tshark: string, mine: unknown[], theirs: unknown[]) =>
  (tshark === 'ip.len' && mine.includes(0)) || (tshark === 'icmp.mtu' && mine[0] === 0 && theirs.length === 0);

/** Layers and problems of ours, to tell why a packet is left out. */
const isBroken = (dissection: Dissection) => dissection.problems.length > 0;

describe('tshark reads the mixed capture as we do', () => {
  test('the recording is of the capture that is there', () => {
    expect(sha256(captureBytes())).toBe(recording.capture);
    expect(packets.length).toBe(recording.packets.length);
  });

  test.each(FIELDS)('%s.%s is %s, in every packet that is not broken', (name, field, tshark) => {
    let compared = 0;
    for (const [i, packet] of packets.entries()) {
      const dissection = dissect(packet.data);
      if (isBroken(dissection)) continue;
      const values = tshark.split(' ').flatMap((one) => recording.packets[i]!.fields[one] ?? []);
      const theirs = values.map((text) => number(text) ?? text);
      const mine = ours(dissection.layers, name, field);
      if (theySayMore(tshark, mine, theirs)) continue;
      expect(mine, `packet ${i + 1}, ${recording.packets[i]!.protocols}`).toEqual(theirs);
      compared += mine.length;
    }
    expect(compared).toBeGreaterThan(0);
  });

  test.each(CHECKSUMS)('%s: a checksum is good or bad where %s says so', (name, tshark) => {
    let compared = 0;
    for (const [i, packet] of packets.entries()) {
      const results = verifyChecksums(dissect(packet.data)).filter(({ layer }) => layer.name === name);
      const states = (recording.packets[i]!.fields[tshark] ?? []).map(Number);
      for (const [j, { state }] of results.entries()) {
        const theirs = states[j];
        if (theirs === undefined || theirs === 2 || state === 'unknown') continue;
        expect({ packet: i + 1, state }).toEqual({ packet: i + 1, state: ['wrong', 'ok', '', 'none'][theirs] });
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(0);
  });

  test('what tshark calls malformed below layer 5 has a problem here too', () => {
    for (const [i, packet] of packets.entries()) {
      const protocols = recording.packets[i]!.protocols.split(':');
      if (protocols.at(-1) !== '_ws.malformed') continue;
      const last = protocols.at(-2)!;
      if (!['eth', 'vlan', 'ip', 'ipv6', 'tcp', 'udp', 'geneve', 'ipv6.hopopts'].includes(last)) continue;
      expect({ packet: i + 1, broken: isBroken(dissect(packet.data)) }).toEqual({ packet: i + 1, broken: true });
    }
  });
});
