import { E } from '../../base/errno.ts';
import type { Memory } from '../../base/memory.ts';
import type { Cpu } from '../cpu.ts';
import { type HelperRow, helper } from '../prototypes/helper.ts';
import { type FormatArgs, formatText } from './format.ts';

/** Characters of a trace line at most, the NUL included. kernel: MAX_BPRINTF_BUF */
const TRACE_BUF = 1024;
/** kernel: MAX_BPRINTF_VARARGS */
const MAX_VARARGS = 12;

const decoder = new TextDecoder();

/** Bytes up to the NUL, or undefined when there is none within `limit` readable bytes. */
function untilNul(memory: Memory, at: number, limit: number): Uint8Array | undefined {
  for (let i = 0; i < limit && memory.accessible(at + i, 1, false); i++) {
    if (memory.u8[at + i] === 0) return memory.u8.subarray(at, at + i);
  }
  return undefined;
}

/** An array of u64 arguments, or -EINVAL when its size is none. */
function varargs(memory: Memory, at: number, size: number): FormatArgs | number {
  if (size % 8 !== 0 || size > MAX_VARARGS * 8 || (size !== 0 && at === 0)) return -E.EINVAL;
  const args = new Int32Array(size / 4);
  for (let i = 0; i < args.length; i++) args[i] = memory.view.getInt32(at + 4 * i, true);
  return args;
}

/** Formats and hands the line to the machine's trace; number of characters, or an errno. */
function trace(cpu: Cpu, format: number, size: number, args: FormatArgs): number {
  const { machine } = cpu;
  const text = untilNul(machine.memory, format, size);
  if (!text) return -E.EINVAL;
  const formatted = formatText(machine.memory, text, args, TRACE_BUF - 1);
  if (typeof formatted === 'number') return formatted;
  const nul = formatted.text.indexOf(0);
  machine.onTrace?.({
    cpu: cpu.id,
    time: machine.clock.now,
    text: decoder.decode(nul < 0 ? formatted.text : formatted.text.subarray(0, nul)),
  });
  return formatted.length;
}

export const printkHelpers: readonly HelperRow[] = [
  helper({
    id: 6,
    name: 'bpf_trace_printk',
    args: ['mem', 'const_size', 'dont_care', 'dont_care', 'dont_care'],
    ret: 'integer',
    types: 'all',
    gpl: true,
    // kernel: bpf_trace_printk()
    call: (cpu, format, size, aLo, aHi, bLo, bHi, cLo, cHi) =>
      trace(cpu, format, size, Int32Array.of(aLo, aHi, bLo, bHi, cLo, cHi)),
  }),
  helper({
    id: 165,
    name: 'bpf_snprintf',
    args: ['mem_rw_or_null', 'const_size_or_zero', 'const_str', 'mem_or_null', 'const_size_or_zero'],
    ret: 'integer',
    types: 'all',
    gpl: true,
    // kernel: bpf_snprintf()
    call: (cpu, to, size, format, data, dataSize) => {
      const { memory } = cpu.machine;
      const args = varargs(memory, data, dataSize);
      if (typeof args === 'number') return args;
      const text = untilNul(memory, format, Infinity);
      if (!text) return -E.EINVAL;
      const formatted = formatText(memory, text, args, size - 1);
      if (typeof formatted === 'number') return formatted;
      if (size > 0) {
        memory.write(to, formatted.text);
        memory.u8[to + formatted.text.length] = 0;
      }
      return formatted.length + 1;
    },
  }),
  helper({
    id: 177,
    name: 'bpf_trace_vprintk',
    args: ['mem', 'const_size', 'mem_or_null', 'const_size_or_zero'],
    ret: 'integer',
    types: 'all',
    gpl: true,
    // kernel: bpf_trace_vprintk()
    call: (cpu, format, size, data, dataSize) => {
      const args = varargs(cpu.machine.memory, data, dataSize);
      return typeof args === 'number' ? args : trace(cpu, format, size, args);
    },
  }),
];
