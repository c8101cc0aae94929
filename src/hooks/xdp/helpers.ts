import { E } from '../../base/errno.ts';
import { InternalError } from '../../base/error.ts';
import type { Cpu } from '../../vm/cpu.ts';
import { type HelperRow, helper } from '../../vm/prototypes/helper.ts';
import { XdpBuff } from './xdp-buff.ts';

/** The buffer of the running XDP program. */
function xdp(cpu: Cpu): XdpBuff {
  if (cpu.packet instanceof XdpBuff) return cpu.packet;
  throw new InternalError('an XDP helper runs without an xdp_buff');
}

const LENGTH_MAX = 0xffff;

export const xdpHelpers: readonly HelperRow[] = [
  helper({
    id: 44,
    name: 'bpf_xdp_adjust_head',
    args: ['ctx', 'anything32'],
    ret: 'integer',
    types: ['xdp'],
    changesPacket: true,
    call: (cpu, _ctx, delta) => xdp(cpu).adjustHead(delta),
  }),
  helper({
    id: 54,
    name: 'bpf_xdp_adjust_meta',
    args: ['ctx', 'anything32'],
    ret: 'integer',
    types: ['xdp'],
    changesPacket: true,
    call: (cpu, _ctx, delta) => xdp(cpu).adjustMeta(delta),
  }),
  helper({
    id: 65,
    name: 'bpf_xdp_adjust_tail',
    args: ['ctx', 'anything32'],
    ret: 'integer',
    types: ['xdp'],
    changesPacket: true,
    call: (cpu, _ctx, delta) => xdp(cpu).adjustTail(delta),
  }),
  helper({
    id: 188,
    name: 'bpf_xdp_get_buff_len',
    args: ['ctx'],
    ret: 'u32',
    types: ['xdp'],
    call: (cpu) => xdp(cpu).length,
  }),
  helper({
    id: 189,
    name: 'bpf_xdp_load_bytes',
    args: ['ctx', 'anything32', 'uninit_mem', 'const_size'],
    ret: 'integer',
    types: ['xdp'],
    // kernel: bpf_xdp_pointer(), ____bpf_xdp_load_bytes()
    call: (cpu, _ctx, offset, to, size) => {
      const at = offset >>> 0;
      if (at > LENGTH_MAX || size > LENGTH_MAX) return -E.EFAULT;
      const buff = xdp(cpu);
      if (at + size > buff.length) return -E.EINVAL;
      buff.copyOut(at, to, size);
      return 0;
    },
  }),
  helper({
    id: 190,
    name: 'bpf_xdp_store_bytes',
    args: ['ctx', 'anything32', 'mem', 'const_size'],
    ret: 'integer',
    types: ['xdp'],
    call: (cpu, _ctx, offset, from, size) => {
      const at = offset >>> 0;
      if (at > LENGTH_MAX || size > LENGTH_MAX) return -E.EFAULT;
      const buff = xdp(cpu);
      if (at + size > buff.length) return -E.EINVAL;
      buff.copyIn(at, from, size);
      return 0;
    },
  }),
];
