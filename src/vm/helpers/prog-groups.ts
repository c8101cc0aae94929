import type { ProgTypeName } from '../prototypes/prog-type.ts';

/** Program types of tc: classifier and action. */
export const TC = ['sched_cls', 'sched_act'] as const satisfies readonly ProgTypeName[];

/** Lightweight tunnels. */
export const LWT = ['lwt_in', 'lwt_out', 'lwt_xmit', 'lwt_seg6local'] as const satisfies readonly ProgTypeName[];

export const TRACING = [
  'kprobe',
  'tracepoint',
  'perf_event',
  'raw_tracepoint',
  'raw_tracepoint_writable',
] as const satisfies readonly ProgTypeName[];

/** Sockets and control groups beside the packet hooks. */
export const SOCKET = [
  'sk_msg',
  'sock_ops',
  'cgroup_sock',
  'cgroup_sock_addr',
] as const satisfies readonly ProgTypeName[];

/** Types that get packets or frames from a device, and the socket types beside them. */
export const NETWORK = [
  'socket_filter',
  ...TC,
  'xdp',
  'cgroup_skb',
  ...LWT,
  'sk_skb',
  ...SOCKET,
  'sk_lookup',
] as const satisfies readonly ProgTypeName[];
