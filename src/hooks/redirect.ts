import type { BpfMap } from '../maps/map.ts';
import type { Cpu } from '../vm/cpu.ts';
import { type HelperRow, helper } from '../vm/prototypes/helper.ts';
import { XDP_ABORTED, XDP_REDIRECT } from './xdp/xdp-md.ts';

/** BPF_F_BROADCAST and BPF_F_EXCLUDE_INGRESS. */
const DEVMAP_FLAGS = (1 << 3) | (1 << 4);
const BPF_F_BROADCAST = 1 << 3;
const BPF_F_INGRESS = 1;
/** Low bits of the flags of bpf_redirect_map: what to return when the slot is empty. */
const ACTION_MASK = 3;
const TC_ACT_SHOT = 2;
const TC_ACT_REDIRECT = 7;

/** Maps to which bpf_redirect_map can send, by whether they take the broadcast flags. */
const TARGET_MAPS: Record<string, number> = { devmap: DEVMAP_FLAGS, devmap_hash: DEVMAP_FLAGS, cpumap: 0, xskmap: 0 };

/** What the redirect maps offer beside the map interface: is there an entry under this number? */
interface RedirectMap extends BpfMap {
  entryAt?(index: number): unknown;
}

/** kernel: __bpf_xdp_redirect_map() */
function redirectMap(cpu: Cpu, map: RedirectMap, key: number, flags: number, flagsHi: number): number {
  const extra = TARGET_MAPS[map.type] ?? 0;
  if (flagsHi !== 0 || (flags & ~(ACTION_MASK | extra)) !== 0) return XDP_ABORTED;
  const target = map.entryAt?.(key >>> 0);
  const record = cpu.redirect;
  if (target === undefined && (flags & BPF_F_BROADCAST) === 0) {
    record.map = undefined;
    return flags & ACTION_MASK;
  }
  record.index = key >>> 0;
  record.map = map;
  record.flags = flags;
  return XDP_REDIRECT;
}

export const redirectHelpers: readonly HelperRow[] = [
  helper({
    id: 23,
    name: 'bpf_redirect',
    args: ['anything32', 'anything'],
    ret: 'integer',
    types: ['xdp'],
    // kernel: bpf_xdp_redirect()
    call: (cpu, ifindex, flags, flagsHi) => {
      if ((flags | flagsHi) !== 0) return XDP_ABORTED;
      cpu.redirect.index = ifindex >>> 0;
      cpu.redirect.map = undefined;
      return XDP_REDIRECT;
    },
  }),
  helper({
    id: 23,
    name: 'bpf_redirect',
    args: ['anything32', 'anything'],
    ret: 'integer',
    types: ['sched_cls', 'sched_act', 'lwt_xmit'],
    // kernel: bpf_redirect()
    call: (cpu, ifindex, flags, flagsHi) => {
      if ((flags & ~BPF_F_INGRESS) !== 0 || flagsHi !== 0) return TC_ACT_SHOT;
      cpu.redirect.index = ifindex >>> 0;
      cpu.redirect.flags = flags;
      return TC_ACT_REDIRECT;
    },
  }),
  helper({
    id: 51,
    name: 'bpf_redirect_map',
    args: ['const_map_ptr', 'anything', 'anything'],
    ret: 'integer',
    types: ['xdp'],
    call: (cpu, map, key, _keyHi, flags, flagsHi) => redirectMap(cpu, map, key, flags, flagsHi),
  }),
];
