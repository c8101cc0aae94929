import { parseIp4, parseIp6, parseMac } from '../base/address.ts';
import { BpfError } from '../base/error.ts';

/** What forwarding needs to know of a device. */
export interface FibDevice {
  readonly ifindex: number;
  readonly mac: Uint8Array;
  /** Bytes of the largest IP packet. */
  readonly mtu: number;
  /** net.ipv4.conf.DEV.forwarding and its IPv6 twin. */
  readonly forwarding: boolean;
}

export type RouteType = 'unicast' | 'local' | 'blackhole' | 'unreachable' | 'prohibit';

interface Route {
  readonly prefix: Uint8Array;
  readonly length: number;
  readonly type: RouteType;
  readonly ifindex: number;
  readonly via: Uint8Array | undefined;
  readonly source: Uint8Array | undefined;
  readonly metric: number;
  readonly table: number;
}

/** A route as `ip route` words it. */
export interface RouteInput {
  /** `10.0.0.0/8`, `2001:db8::/32`, `0.0.0.0/0`; without a length a host route. */
  readonly to: string;
  readonly dev?: number;
  readonly via?: string;
  readonly src?: string;
  readonly type?: RouteType;
  readonly metric?: number;
  /** Routing table; default 254 (main). */
  readonly table?: number;
}

/** BPF_FIB_LKUP_RET_* */
export const FIB_RESULTS = [
  'success',
  'blackhole',
  'unreachable',
  'prohibit',
  'not_fwded',
  'fwd_disabled',
  'unsupp_lwt',
  'no_neigh',
  'frag_needed',
  'no_src_addr',
] as const;
export type FibResult = (typeof FIB_RESULTS)[number];

const MAIN_TABLE = 254;

/**
 * Devices, routes and neighbours, as far as a forwarding decision looks at them. Settable from outside; loopback is
 * there from the start, with forwarding off, as in a fresh network namespace.
 */
export class Fib {
  #devices = new Map<number, FibDevice>();
  #routes: Route[] = [];
  #neighbours = new Map<string, Uint8Array>();

  constructor() {
    this.#devices.set(1, { ifindex: 1, mac: new Uint8Array(6), mtu: 65536, forwarding: false });
  }

  /** Adds or replaces a device. */
  setDevice({
    ifindex,
    mac = '00:00:00:00:00:00',
    mtu = 1500,
    forwarding = true,
  }: {
    ifindex: number;
    mac?: string;
    mtu?: number;
    forwarding?: boolean;
  }): void {
    this.#devices.set(ifindex, { ifindex, mac: parseMac(mac), mtu, forwarding });
  }

  device(ifindex: number): FibDevice | undefined {
    return this.#devices.get(ifindex);
  }

  /** @throws BpfError for text that is no address, or a device that does not exist */
  addRoute({ to, dev = 0, via, src, type = 'unicast', metric = 0, table = MAIN_TABLE }: RouteInput): void {
    const [address = '', length] = to.split('/');
    const prefix = parseAddress(address);
    const bits = length === undefined ? prefix.length * 8 : Number(length);
    if (!Number.isInteger(bits) || bits < 0 || bits > prefix.length * 8) {
      throw new BpfError(`route ${to}: ${length} is no prefix length`, { errno: 'EINVAL' });
    }
    if ((type === 'unicast' || dev !== 0) && !this.#devices.has(dev)) {
      throw new BpfError(`route ${to}: there is no device with ifindex ${dev}`, { errno: 'ENODEV' });
    }
    this.#routes.push({
      prefix,
      length: bits,
      type,
      ifindex: dev,
      via: via === undefined ? undefined : parseAddress(via),
      source: src === undefined ? undefined : parseAddress(src),
      metric,
      table,
    });
    // Longest prefix first, then the lowest metric; sort is stable, so earlier routes win among equals.
    this.#routes.sort((a, b) => b.length - a.length || a.metric - b.metric);
  }

  /** Link-layer address of a neighbour. @throws BpfError for text that is no address */
  addNeighbour({ dev, ip, mac }: { dev: number; ip: string; mac: string }): void {
    this.#neighbours.set(neighbourKey(dev, parseAddress(ip)), parseMac(mac));
  }

  neighbour(dev: number, address: Uint8Array): Uint8Array | undefined {
    return this.#neighbours.get(neighbourKey(dev, address));
  }

  /** The best route to an address (4 or 16 bytes). */
  route(destination: Uint8Array, table = MAIN_TABLE): Route | undefined {
    return this.#routes.find(
      (route) =>
        route.table === table &&
        route.prefix.length === destination.length &&
        samePrefix(route.prefix, destination, route.length),
    );
  }
}

function parseAddress(text: string): Uint8Array {
  return text.includes(':') ? parseIp6(text) : parseIp4(text);
}

function neighbourKey(dev: number, address: Uint8Array): string {
  return `${dev} ${address.join('.')}`;
}

function samePrefix(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  const whole = bits >> 3;
  for (let i = 0; i < whole; i++) if (a[i] !== b[i]) return false;
  const rest = bits & 7;
  return rest === 0 || (a[whole]! ^ b[whole]!) >> (8 - rest) === 0;
}
