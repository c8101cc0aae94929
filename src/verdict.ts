import { TC_ACTIONS } from './hooks/skb/sk-buff.ts';
import { XDP_ACTIONS } from './hooks/xdp/xdp-md.ts';

const LWT = ['BPF_OK', undefined, 'BPF_DROP', undefined, undefined, undefined, undefined, 'BPF_REDIRECT'];
const CGROUP_SKB = ['DROP', 'PASS'];

const NAMES: Readonly<Record<string, readonly (string | undefined)[]>> = {
  xdp: XDP_ACTIONS,
  sched_cls: TC_ACTIONS,
  sched_act: TC_ACTIONS,
  lwt_in: LWT,
  lwt_out: LWT,
  lwt_xmit: LWT,
  cgroup_skb: CGROUP_SKB,
};

/**
 * Name of a return value as the kernel's headers have it; `XDP_ABORTED` for what the kernel treats so; the number where
 * there is no name (a socket filter returns the bytes to keep).
 */
export function verdictName(type: string, retval: number): string {
  if ((type === 'sched_cls' || type === 'sched_act') && retval === 0xffffffff) return 'TC_ACT_UNSPEC';
  return NAMES[type]?.[retval] ?? String(retval);
}
