import { type HelperRow, helper } from '../prototypes/helper.ts';
import { TC } from './prog-groups.ts';

/** Cookie of the initial network namespace. */
const INIT_NET_COOKIE = 1;

export const netnsHelpers: readonly HelperRow[] = [
  helper({
    id: 122,
    name: 'bpf_get_netns_cookie',
    args: ['ctx_or_null'],
    ret: 'u64',
    types: [
      'socket_filter',
      ...TC,
      'cgroup_skb',
      'sk_msg',
      'sock_ops',
      'cgroup_sock',
      'cgroup_sock_addr',
      'cgroup_sockopt',
    ],
    // The lab has one namespace.
    call: (cpu) => cpu.u53(INIT_NET_COOKIE),
  }),
];
