/** enum bpf_prog_type: id, kernel name in lower case, first kernel. */
export const PROG_TYPES = [
  { id: 0, name: 'unspec', since: '3.18' },
  { id: 1, name: 'socket_filter', since: '3.19' },
  { id: 2, name: 'kprobe', since: '4.1' },
  { id: 3, name: 'sched_cls', since: '4.1' },
  { id: 4, name: 'sched_act', since: '4.1' },
  { id: 5, name: 'tracepoint', since: '4.7' },
  { id: 6, name: 'xdp', since: '4.8' },
  { id: 7, name: 'perf_event', since: '4.9' },
  { id: 8, name: 'cgroup_skb', since: '4.10' },
  { id: 9, name: 'cgroup_sock', since: '4.10' },
  { id: 10, name: 'lwt_in', since: '4.10' },
  { id: 11, name: 'lwt_out', since: '4.10' },
  { id: 12, name: 'lwt_xmit', since: '4.10' },
  { id: 13, name: 'sock_ops', since: '4.13' },
  { id: 14, name: 'sk_skb', since: '4.14' },
  { id: 15, name: 'cgroup_device', since: '4.15' },
  { id: 16, name: 'sk_msg', since: '4.17' },
  { id: 17, name: 'raw_tracepoint', since: '4.17' },
  { id: 18, name: 'cgroup_sock_addr', since: '4.17' },
  { id: 19, name: 'lwt_seg6local', since: '4.18' },
  { id: 20, name: 'lirc_mode2', since: '4.18' },
  { id: 21, name: 'sk_reuseport', since: '4.19' },
  { id: 22, name: 'flow_dissector', since: '4.20' },
  { id: 23, name: 'cgroup_sysctl', since: '5.2' },
  { id: 24, name: 'raw_tracepoint_writable', since: '5.2' },
  { id: 25, name: 'cgroup_sockopt', since: '5.3' },
  { id: 26, name: 'tracing', since: '5.5' },
  { id: 27, name: 'struct_ops', since: '5.6' },
  { id: 28, name: 'ext', since: '5.6' },
  { id: 29, name: 'lsm', since: '5.7' },
  { id: 30, name: 'sk_lookup', since: '5.9' },
  { id: 31, name: 'syscall', since: '5.14' },
  { id: 32, name: 'netfilter', since: '6.4' },
] as const;

export type ProgTypeName = (typeof PROG_TYPES)[number]['name'];

const byName = new Map<string, (typeof PROG_TYPES)[number]>(PROG_TYPES.map((row) => [row.name, row]));

/** Row of a program type by name (`xdp`) or number, or undefined. */
export function progType(type: string | number): (typeof PROG_TYPES)[number] | undefined {
  return typeof type === 'number' ? PROG_TYPES[type] : byName.get(type);
}

/** enum bpf_attach_type values that packet programs meet. */
export { BPF_XDP_CPUMAP, BPF_XDP_DEVMAP } from '../../maps/prog-owner.ts';
export const BPF_XDP = 37;

/** BPF_PROG_LOAD flags. */
export const BPF_F_SLEEPABLE = 1 << 4;
export const BPF_F_XDP_HAS_FRAGS = 1 << 5;
export const BPF_F_XDP_DEV_BOUND_ONLY = 1 << 6;
