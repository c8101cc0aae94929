import type { ContextLayout } from '../../vm/prototypes/context.ts';

/** struct xdp_md; data, data_end and data_meta are real addresses in linear memory. */
export const XDP_MD = {
  name: 'xdp_md',
  size: 24,
  fields: [
    { name: 'data', offset: 0, size: 4 },
    { name: 'data_end', offset: 4, size: 4 },
    { name: 'data_meta', offset: 8, size: 4 },
    { name: 'ingress_ifindex', offset: 12, size: 4 },
    { name: 'rx_queue_index', offset: 16, size: 4 },
    { name: 'egress_ifindex', offset: 20, size: 4 },
  ],
} as const satisfies ContextLayout;

/** enum xdp_action by number. */
export const XDP_ACTIONS = ['XDP_ABORTED', 'XDP_DROP', 'XDP_PASS', 'XDP_TX', 'XDP_REDIRECT'] as const;

export const XDP_ABORTED = 0;
export const XDP_REDIRECT = 4;
