import { hex, unhex, viewOf } from './libc.ts';
import type { Scenario } from './scenario.ts';
import type { SubjectObject } from './subject.ts';

/** What makes a program of `progs/` do something worth comparing: settings, map contents, and what time touches. */
export type ObjectScenario = Pick<Scenario, 'globals' | 'prepare' | 'shared' | 'timeFields'> & {
  /** Context that goes in with every packet. */
  readonly ctx?: Uint8Array;
  /** Program that comes before the others. */
  readonly first?: string;
  /** Programs that are left out, with the reason. */
  readonly without?: Readonly<Record<string, string>>;
  /** Why it is not compared; the reason is printed. */
  readonly skip?: string;
  /** In what the lab is known to differ; whoever mends it takes this off. */
  readonly open?: string;
};

/** Bytes of little-endian numbers: `le([4, 1], [2, 80])` is a u32 and a u16; a string is hex. */
export function bytes(...parts: readonly (readonly [size: number, value: number] | string)[]): Uint8Array {
  const out: number[] = [];
  for (const part of parts) {
    if (typeof part === 'string') {
      out.push(...unhex(part));
    } else {
      const word = new Uint8Array(8);
      viewOf(word).setBigUint64(0, BigInt(part[1]), true);
      out.push(...word.subarray(0, part[0]));
    }
  }
  return Uint8Array.from(out);
}

function put(object: SubjectObject, map: string, key: Uint8Array, value: Uint8Array): void {
  const result = object.update(map, key, value);
  if (result < 0) throw new Error(`update of ${map}: errno ${-result}`);
}

/** Scenarios by object name (`firewall` for progs/firewall.bpf.o); objects without a row run as they are. */
export const OBJECT_SCENARIOS: Readonly<Record<string, ObjectScenario>> = {
  spin_lock: {
    // No refill: verdicts then depend on the burst alone, not on the time between packets.
    globals: { packets_per_second: 0, burst: 3 },
    timeFields: { buckets: [[16, 24]] },
  },
  tc_edt: {
    // One byte a second: the second packet of a class is always too late, however fast the runs follow.
    globals: { default_rate: 1 },
    timeFields: { classes: [[8, 16]] },
    // wire_len is 0 in a test run without a context
    ctx: new Uint8Array(192),
  },
  router: {},
  timer: { globals: { idle_ns: 3_600_000_000_000 } },
  isort64: { skip: 'Linux refuses it after a million instructions, which takes it a quarter of a minute' },
  maps: { shared: true, first: 'fill', without: { ktime: 'returns a bit of the time' } },
  cgroup_skb: {
    prepare: (object) => {
      for (const port of [53, 80, 443]) put(object, 'denied_ports', bytes([2, port]), bytes([1, 1]));
    },
  },
  firewall: {
    prepare: (object, packets) => {
      // The third source's /24, and a longer prefix inside of it with a count of its own.
      const source = distinct(packets.map((packet) => ipv4Tuple(packet)?.source)).at(2);
      if (!source) return;
      put(object, 'blocked', bytes([4, 24], source.slice(0, 6), '00'), bytes([8, 100]));
      put(object, 'blocked', bytes([4, 32], source), bytes([8, 0]));
    },
  },
  l4lb: {
    prepare: (object, packets) => {
      const services = distinct(packets.map((packet) => ipv4Tuple(packet)?.service));
      services.slice(0, 64).forEach((service, i) => {
        put(object, 'vips', bytes(service), bytes([4, i % 2]));
      });
      for (let i = 0; i < 4; i++) {
        const address = `0a00020${i + 1}`;
        put(object, 'backends', bytes([4, i]), bytes(address, `0200${address}`, [2, i === 3 ? 0 : 1]));
      }
      for (let place = 0; place < 2 * 251; place++) put(object, 'ring', bytes([4, place]), bytes([4, (place * 7) % 4]));
    },
  },
};

function distinct(values: readonly (string | undefined)[]): string[] {
  return [...new Set(values.filter((value) => value !== undefined))];
}

/** Hex of the source address, and of destination address, port and protocol as a service key; untagged IPv4 only. */
function ipv4Tuple(packet: Uint8Array): { readonly source: string; readonly service: string } | undefined {
  const protocol = packet[23];
  if (packet.length < 38 || packet[12] !== 8 || packet[13] !== 0 || packet[14] !== 0x45) return undefined;
  if (protocol !== 6 && protocol !== 17) return undefined;
  return {
    source: hex(packet.subarray(26, 30)),
    service: `${hex(packet.subarray(30, 34))}${hex(packet.subarray(36, 38))}${hex(Uint8Array.of(protocol, 0))}`,
  };
}
