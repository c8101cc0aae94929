import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs';
import { errnoText } from '../../src/base/errno.ts';
import { syscall } from './libc.ts';

const CLONE_NEWNET = 0x4000_0000;

/** A network namespace of our own. It and its devices die with `leave()`, or with the process. */
export interface Netns {
  /** Runs `ip ARGUMENTS` inside. */
  ip(...args: readonly string[]): string;
  /** A pair of veth devices, both up, with fixed MAC addresses; returns their ifindexes. */
  veth(a: string, b: string): readonly [number, number];
  ifindex(device: string): number;
  /** Back to the namespace from before. */
  leave(): void;
}

let usable: boolean | undefined;

/** Is there an `ip` to set a namespace up with, and are we root? */
export function netnsAvailable(): boolean {
  usable ??= process.getuid?.() === 0 && spawnSync('ip', ['-V']).status === 0;
  return usable;
}

/**
 * Moves this thread into a fresh network namespace (loopback up, forwarding off), so that tests see neither the host's devices nor its
 * routes. Child processes started afterwards are inside too. Needs vitest's `forks` pool: a worker thread would leave
 * the others behind.
 * @throws with the reason when the kernel says no
 */
export function enterNetns(): Netns {
  const before = openSync('/proc/thread-self/ns/net', 'r');
  const result = syscall('unshare', CLONE_NEWNET);
  if (result < 0) {
    closeSync(before);
    throw new Error(`unshare(CLONE_NEWNET): ${errnoText(result)}`);
  }
  const ip = (...args: readonly string[]) => execFileSync('ip', args, { encoding: 'utf8', stdio: 'pipe' });
  const ifindex = (device: string) => {
    const [link] = JSON.parse(ip('-j', 'link', 'show', 'dev', device)) as { ifindex: number }[];
    return link!.ifindex;
  };
  ip('link', 'set', 'lo', 'up');
  // A new namespace takes these over from the host.
  for (const file of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']) {
    const path = `/proc/sys/net/${file}`;
    if (existsSync(path)) writeFileSync(path, '0');
  }
  return {
    ip,
    ifindex,
    veth: (a, b) => {
      const macs = ['02:00:00:00:00:01', '02:00:00:00:00:02'] as const;
      ip('link', 'add', a, 'address', macs[0], 'type', 'veth', 'peer', 'name', b, 'address', macs[1]);
      for (const device of [a, b]) ip('link', 'set', device, 'up');
      return [ifindex(a), ifindex(b)];
    },
    leave: () => {
      const back = syscall('setns', before, CLONE_NEWNET);
      closeSync(before);
      if (back < 0) throw new Error(`setns: ${errnoText(back)}`);
    },
  };
}
