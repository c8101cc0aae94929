import { E } from '../base/errno.ts';
import { FIB_RESULTS, Fib, type FibResult } from '../net/fib.ts';
import type { Cpu } from '../vm/cpu.ts';
import { PerMachine } from '../vm/helpers/per-machine.ts';
import { type HelperRow, helper } from '../vm/prototypes/helper.ts';

/** Devices, routes and neighbours of a machine's network namespace. */
export const fibOf = new PerMachine(() => new Fib());

/** struct bpf_fib_lookup */
const PARAMS_SIZE = 64;
const FAMILY = 0;
const TOT_LEN = 6;
const IFINDEX = 8;
const METRIC = 12;
const SRC = 16;
const DST = 32;
const TBID = 48;
const VLAN = 48;
const SMAC = 52;
const DMAC = 58;

const AF_INET = 2;
const AF_INET6 = 10;
const BPF_FIB_LOOKUP_DIRECT = 1;
const BPF_FIB_LOOKUP_SKIP_NEIGH = 4;
const BPF_FIB_LOOKUP_TBID = 8;
const BPF_FIB_LOOKUP_SRC = 16;
const ALL_FLAGS = 0x3f;

const code = (result: FibResult) => FIB_RESULTS.indexOf(result);

/** Multicast, link-local or loopback: never forwarded. kernel: rt6_need_strict() */
function staysOnLink(u8: Uint8Array, at: number): boolean {
  if (u8[at] === 0xff || (u8[at] === 0xfe && (u8[at + 1]! & 0xc0) === 0x80)) return true;
  for (let i = 0; i < 15; i++) if (u8[at + i] !== 0) return false;
  return u8[at + 15] === 1;
}

/** kernel: bpf_xdp_fib_lookup(), bpf_ipv4_fib_lookup(), bpf_ipv6_fib_lookup() */
function lookup(cpu: Cpu, params: number, size: number, flags: number): number {
  if (size < PARAMS_SIZE || (flags & ~ALL_FLAGS) !== 0) return -E.EINVAL;
  const { memory } = cpu.machine;
  const { view, u8 } = memory;
  const family = u8[params + FAMILY]!;
  if (family !== AF_INET && family !== AF_INET6) return -E.EAFNOSUPPORT;
  const bytes = family === AF_INET ? 4 : 16;
  if (family === AF_INET6 && (staysOnLink(u8, params + DST) || staysOnLink(u8, params + SRC))) return code('not_fwded');
  const fib = fibOf.of(cpu.machine);
  const ingress = fib.device(view.getUint32(params + IFINDEX, true));
  if (!ingress) return -E.ENODEV;
  if (!ingress.forwarding) return code('fwd_disabled');

  const destination = memory.read(params + DST, bytes);
  const table =
    flags & BPF_FIB_LOOKUP_DIRECT && flags & BPF_FIB_LOOKUP_TBID ? view.getUint32(params + TBID, true) : undefined;
  const route = fib.route(destination, table || undefined);
  if (!route) return code('not_fwded');
  if (route.type === 'blackhole' || route.type === 'unreachable' || route.type === 'prohibit') return code(route.type);
  if (route.type !== 'unicast') return code('not_fwded');
  const device = fib.device(route.ifindex)!;
  const length = view.getUint16(params + TOT_LEN, true);
  if (length > device.mtu) {
    view.setUint16(params + TOT_LEN, device.mtu, true);
    return code('frag_needed');
  }
  view.setUint32(params + METRIC, route.metric, true);
  view.setUint32(params + IFINDEX, device.ifindex, true);
  if (flags & BPF_FIB_LOOKUP_SRC) {
    if (!route.source) return code('no_src_addr');
    u8.set(route.source, params + SRC);
  }
  if (route.via) u8.set(route.via, params + DST);
  if ((flags & BPF_FIB_LOOKUP_SKIP_NEIGH) === 0) {
    const mac = fib.neighbour(device.ifindex, route.via ?? destination);
    if (!mac) return code('no_neigh');
    u8.set(device.mac, params + SMAC);
    u8.set(mac, params + DMAC);
  }
  view.setUint32(params + VLAN, 0, true);
  if (length > 0) view.setUint16(params + TOT_LEN, Math.min(device.mtu, 0xffff), true);
  return code('success');
}

export const fibHelpers: readonly HelperRow[] = [
  helper({
    id: 69,
    name: 'bpf_fib_lookup',
    args: ['ctx', 'mem_rw', 'const_size', 'anything32'],
    ret: 'integer',
    types: ['xdp', 'sched_cls', 'sched_act'],
    gpl: true,
    call: (cpu, _ctx, params, size, flags) => lookup(cpu, params, size, flags),
  }),
];
