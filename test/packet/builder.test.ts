import { describe, expect, test } from 'vitest';
import { builderFrom, eth, packet } from '../../src/packet/builder.ts';
import { dissect, verifyChecksums } from '../../src/packet/dissect.ts';
import { summarize } from '../../src/packet/summary.ts';

const mac = { src: '02:00:00:00:00:01', dst: '02:00:00:00:00:02' };
const flow = { src: '10.0.0.1', dst: '10.0.0.9' };

const packets = {
  'tcp syn': eth(mac)
    .ip4(flow)
    .tcp({ sport: 4001, dport: 22, options: [{ name: 'mss', value: 1460 }, { name: 'sackok' }] }),
  udp: eth(mac).ip4(flow).udp({ sport: 1, dport: 53 }).payload('hello'),
  'vlan, padded': eth(mac).vlan({ id: 100, pcp: 3 }).ip4(flow).udp().payload('x').padTo(64),
  qinq: eth(mac).vlan({ id: 100 }).vlan({ id: 200 }).ip4(flow).icmp({ id: 1, seq: 2 }).payload('ping'),
  arp: eth(mac).arp({ op: 1, spa: '10.0.0.1', tpa: '10.0.0.9' }).padTo(60),
  'ip options': eth(mac)
    .ip4({ ...flow, options: [{ name: 'router-alert', value: 0 }] })
    .udp()
    .payload('opt'),
  'ip6 with extension headers': eth(mac)
    .ip6({ src: 'fd00::1', dst: 'fd00::9' })
    .hopopts({ options: [{ name: 'router-alert', value: 0 }] })
    .dstopts({ options: [] })
    .tcp({ flags: 'SA' }),
  'neighbor solicitation': eth(mac)
    .ip6({ hlim: 255 })
    .icmp6({ type: 135, target: 'fd00::2', options: [{ name: 'slla', value: '02:00:00:00:00:01' }] }),
  gre: eth(mac).ip4(flow).gre({ key: 42, seq: 7, c: 1 }).ip4().udp().payload('in gre'),
  vxlan: eth(mac).ip4(flow).vxlan({ vni: 77 }).eth().ip6().udp().payload('in vxlan'),
  geneve: eth(mac)
    .ip4(flow)
    .geneve({ vni: 5, options: [{ class: 0x102, kind: 1, data: new Uint8Array(4) }] })
    .eth()
    .ip4()
    .tcp(),
  mpls: eth(mac).mpls({ label: 100 }).mpls({ label: 200 }).ip4(flow).udp(),
  '6in4': eth(mac).ip4(flow).ip6().udp().payload('six'),
  ipip: eth(mac).ip4(flow).ipip({ src: '192.0.2.1', dst: '192.0.2.2' }).tcp({ flags: 'A' }),
  'icmp error': eth(mac).ip4(flow).icmp({ type: 3, code: 4, mtu: 1400 }).ip4().udp({ sport: 9 }),
  'no link layer': packet().ip4(flow).udp(),
};

describe('builder and dissector', () => {
  test.each(Object.entries(packets))('%s: the dissector finds the layers that the builder wrote', (name, builder) => {
    const bytes = builder.build();
    const dissection = dissect(bytes, { linkType: name === 'no link layer' ? 101 : 1 });
    expect(dissection.layers.map((layer) => layer.name)).toEqual(builder.layers.map((layer) => layer.header));
    expect(dissection.problems).toEqual([]);
    for (const result of verifyChecksums(dissection)) expect(['ok', 'unknown']).toContain(result.state);
    expect(builderFrom(dissection).build()).toEqual(bytes);
    expect(builderFrom(dissection, { recompute: true }).build()).toEqual(bytes);
  });

  test('a summary is one line', () => {
    expect(summarize(packets['tcp syn'].build())).toBe('10.0.0.1:4001 > 10.0.0.9:22    TCP S   62B');
  });
});
