import { expect, test } from 'vitest';
import { kernelAvailable } from './kernel.ts';
import { KernelObject } from './load.ts';
import { enterNetns, netnsAvailable } from './netns.ts';
import { assembled, I, rawSpec } from './raw-spec.ts';

test('a fresh network namespace has loopback and what the test makes, and test runs see its devices', (ctx) => {
  const available = kernelAvailable();
  if (!available.ok) ctx.skip(`no kernel: ${available.reason}`);
  if (!netnsAvailable()) ctx.skip('no ip command, or not root');
  const netns = enterNetns();
  try {
    const [a, b] = netns.veth('oracle0', 'oracle1');
    const links = JSON.parse(netns.ip('-j', 'link')) as { ifname: string; address: string }[];
    expect(links.map(({ ifname }) => ifname).sort()).toEqual(['lo', 'oracle0', 'oracle1']);
    expect(netns.ifindex('oracle1')).toBe(b);
    // xdp_md.ingress_ifindex
    const insns = assembled(I.load(32, 0, 1, 12), I.exit());
    const object = new KernelObject(rawSpec([{ name: 'ifindex', type: 'xdp', insns }]));
    const md = new Uint8Array(24);
    md[4] = 20; // data_end
    md[12] = a;
    expect(object.run('ifindex', { data: new Uint8Array(20), ctx: md }).retval).toBe(a);
    md[12] = 99;
    expect(object.run('ifindex', { data: new Uint8Array(20), ctx: md }).errno).toBe(-19);
    object.close();
  } finally {
    netns.leave();
  }
  expect(netns.ip('-j', 'link')).not.toContain('oracle0');
});
