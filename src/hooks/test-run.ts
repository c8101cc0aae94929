import { E, type ErrnoName } from '../base/errno.ts';
import { BpfError } from '../base/error.ts';
import { PAGE_SIZE } from '../base/memory.ts';
import { ETH_HLEN } from '../packet/protocols.ts';
import type { Cpu } from '../vm/cpu.ts';
import type { Engine } from '../vm/engine.ts';
import { runAs, type Task } from '../vm/helpers/current-task.ts';
import type { Machine } from '../vm/machine.ts';
import type { Program } from '../vm/program.ts';
import { type ContextField, type ContextLayout, contextField } from '../vm/prototypes/context.ts';
import { BPF_XDP_DEVMAP } from '../vm/prototypes/prog-type.ts';
import { SK_BUFF } from './skb/sk-buff.ts';
import { SKB_LINEAR_MAX, Skb } from './skb/skb.ts';
import { MAX_FRAGS, XDP_LINEAR_MAX, XdpBuff } from './xdp/xdp-buff.ts';
import { XDP_MD } from './xdp/xdp-md.ts';

/** Values of context fields by name; array fields (`cb`) take arrays. */
export type ContextValues = Readonly<Record<string, number | bigint | readonly number[]>>;

export interface TestRunOptions {
  /** Fields of xdp_md or __sk_buff to set before the run, as BPF_PROG_TEST_RUN's ctx_in. */
  readonly ctx?: ContextValues;
  /** Runs on the same buffer; changes add up. 0 counts as 1. */
  readonly repeat?: number;
  readonly cpu?: number;
}

/** Packet program types that can run alone, and how their packet starts. */
const SKB_TYPES: Readonly<Record<string, { l2: boolean }>> = {
  sched_cls: { l2: true },
  sched_act: { l2: true },
  socket_filter: { l2: false },
  cgroup_skb: { l2: false },
  lwt_in: { l2: false },
  lwt_out: { l2: false },
  lwt_xmit: { l2: false },
  lwt_seg6local: { l2: false },
};

/** __sk_buff fields that ctx_in may set. kernel: convert___skb_to_skb() */
const SKB_SETTABLE = [
  'mark',
  'priority',
  'ingress_ifindex',
  'ifindex',
  'cb',
  'tstamp',
  'wire_len',
  'gso_segs',
  'gso_size',
  'hwtstamp',
];
const XDP_META_MAX = 216;
const LOOPBACK = 1;

/** Whose context test runs happen in: the process that asks for them. */
const CALLER: Task = { pid: 1000, tgid: 1000, uid: 0, gid: 0, comm: 'bpflab' };

/** Does a program of this type run in `TestRun`? */
export function canTestRun(type: string): boolean {
  return type === 'xdp' || type in SKB_TYPES;
}

/** Context struct of a program type, or undefined when it has none that the lab models. */
export function contextOf(type: string): ContextLayout | undefined {
  return type === 'xdp' ? XDP_MD : type in SKB_TYPES ? SK_BUFF : undefined;
}

/**
 * One program, one packet: what BPF_PROG_TEST_RUN does, for devmap and cpumap programs too. Buffers are kept between
 * runs, so results of `output` and `context` belong to the last run only.
 */
export class TestRun {
  readonly machine: Machine;
  readonly engine: Engine;
  /** Devices that exist by number; 1 is loopback. */
  deviceExists: (ifindex: number) => boolean = (ifindex) => ifindex === LOOPBACK;
  #xdp: XdpBuff | undefined;
  #skb: Skb | undefined;
  #last: 'xdp' | 'l2' | 'l3' = 'xdp';
  /** ingress_ifindex of the last ctx; ctx_out gives it back, 0 included. */
  #givenIngress = 0;

  constructor(machine: Machine, engine: Engine) {
    this.machine = machine;
    this.engine = engine;
  }

  /**
   * Runs the program and returns r0's low 32 bits, unsigned.
   * @throws BpfError with the errno that the system call gives for the same input.
   * @throws FaultError when the program leaves its memory or its instruction budget.
   */
  run(program: Program, data: Uint8Array, options: TestRunOptions = {}): number {
    const cpu = this.machine.cpuList[options.cpu ?? 0];
    if (!cpu) {
      throw this.#error(program, 'EINVAL', `there is no CPU ${options.cpu}`, `CPUs are 0 to ${this.machine.cpus - 1}`);
    }
    const skbType = SKB_TYPES[program.type];
    let ctx: number;
    if (program.type === 'xdp') ctx = this.#fillXdp(program, data, options.ctx, cpu);
    else if (skbType) ctx = this.#fillSkb(program, data, skbType.l2, options.ctx, cpu);
    else {
      throw this.#error(program, 'ENOTSUPP', `programs of type ${program.type} cannot run alone`);
    }
    cpu.redirect.map = undefined;
    cpu.redirect.index = 0;
    cpu.redirect.flags = 0;
    let result = 0;
    try {
      runAs(this.machine, CALLER, () => {
        for (let left = options.repeat || 1; left > 0; left--) result = this.engine.run(program, cpu, ctx);
      });
    } finally {
      cpu.packet = undefined;
    }
    return result;
  }

  /** The packet after the last run, as data_out: metadata first (XDP), zeros for the stripped Ethernet header (L3 types). */
  output(): Uint8Array {
    if (this.#last === 'xdp') return this.#xdp!.bytes();
    const bytes = this.#skb!.bytes();
    if (this.#last === 'l2') return bytes;
    const padded = new Uint8Array(ETH_HLEN + bytes.length);
    padded.set(bytes, ETH_HLEN);
    return padded;
  }

  /** Bytes of metadata in front of the packet in `output`. */
  get metaLength(): number {
    return this.#last === 'xdp' ? this.#xdp!.data - this.#xdp!.dataMeta : 0;
  }

  /** The context struct after the last run, as ctx_out. */
  context(): Uint8Array {
    if (this.#last === 'xdp') return this.#xdpContext();
    const skb = this.#skb!;
    const raw = this.machine.memory.read(skb.ctx, SK_BUFF.size);
    const out = new Uint8Array(SK_BUFF.size);
    for (const field of SK_BUFF.fields as readonly ContextField[]) {
      if (!SKB_SETTABLE.includes(field.name)) continue;
      const size = field.size * (field.count ?? 1);
      out.set(raw.subarray(field.offset, field.offset + size), field.offset);
    }
    return out;
  }

  /** kernel: xdp_convert_buff_to_md() — offsets from the start of data_out instead of addresses. */
  #xdpContext(): Uint8Array {
    const buff = this.#xdp!;
    const out = new Uint8Array(XDP_MD.size);
    const view = new DataView(out.buffer);
    view.setUint32(0, buff.data - buff.dataMeta, true);
    view.setUint32(4, buff.dataEnd - buff.dataMeta, true);
    view.setUint32(12, this.#givenIngress, true);
    view.setUint32(16, buff.rxQueueIndex, true);
    view.setUint32(20, buff.egressIfindex, true);
    return out;
  }

  /** kernel: bpf_prog_test_run_xdp() */
  #fillXdp(program: Program, data: Uint8Array, ctx: ContextValues | undefined, cpu: Cpu): number {
    this.#xdp ??= new XdpBuff(this.machine.memory);
    const buff = this.#xdp;
    let meta = 0;
    let end = data.length;
    buff.ingressIfindex = LOOPBACK;
    buff.rxQueueIndex = 0;
    buff.egressIfindex = 0;
    this.#givenIngress = 0;
    if (ctx) {
      this.#checkNames(program, XDP_MD, ctx);
      meta = this.#number(program, ctx, 'data');
      end = 'data_end' in ctx ? this.#number(program, ctx, 'data_end') : data.length;
      if (this.#number(program, ctx, 'data_meta') !== 0) {
        throw this.#error(program, 'EINVAL', 'ctx data_meta must be 0', 'data says how much metadata leads the packet');
      }
      if (end > data.length || meta > end) {
        throw this.#error(program, 'EINVAL', `ctx data ${meta} and data_end ${end} do not fit ${data.length} bytes`);
      }
      if (meta % 4 !== 0 || meta > XDP_META_MAX) {
        throw this.#error(program, 'EINVAL', `ctx data (metadata length) ${meta} is not a multiple of 4 up to 216`);
      }
      const ingress = this.#number(program, ctx, 'ingress_ifindex');
      const queue = this.#number(program, ctx, 'rx_queue_index');
      const egress = this.#number(program, ctx, 'egress_ifindex');
      if (ingress === 0 && queue !== 0) {
        throw this.#error(program, 'EINVAL', 'ctx rx_queue_index needs an ingress_ifindex');
      }
      if (ingress !== 0) {
        if (!this.deviceExists(ingress))
          throw this.#error(program, 'ENODEV', `there is no device with ifindex ${ingress}`);
        if (queue !== 0 && ingress === LOOPBACK) {
          throw this.#error(program, 'EINVAL', `device ${ingress} has no receive queue ${queue}`);
        }
        buff.ingressIfindex = ingress;
        this.#givenIngress = ingress;
        buff.rxQueueIndex = queue;
      }
      // differs from kernel: devmap programs run alone here, and the device that they leave by can be said.
      if (egress !== 0 && program.expectedAttachType !== BPF_XDP_DEVMAP) {
        throw this.#error(program, 'EINVAL', 'ctx egress_ifindex must be 0', 'only devmap programs have one');
      }
      buff.egressIfindex = egress;
    }
    if (data.length - meta < ETH_HLEN) {
      throw this.#error(
        program,
        'EINVAL',
        `packet of ${data.length - meta} bytes is shorter than an Ethernet header (14)`,
      );
    }
    const linear = Math.min(end, XDP_LINEAR_MAX) - meta;
    const rest = data.length - meta - linear;
    if (Math.ceil(rest / PAGE_SIZE) > MAX_FRAGS) {
      throw this.#error(
        program,
        'ENOMEM',
        `packet of ${data.length} bytes needs more than ${MAX_FRAGS} fragments`,
        `${XDP_LINEAR_MAX + MAX_FRAGS * PAGE_SIZE} bytes is the limit`,
      );
    }
    buff.fill(data, meta, linear);
    cpu.packet = buff;
    this.#last = 'xdp';
    return buff.ctx;
  }

  /** kernel: bpf_prog_test_run_skb() */
  #fillSkb(program: Program, data: Uint8Array, l2: boolean, ctx: ContextValues | undefined, cpu: Cpu): number {
    this.#skb ??= new Skb(this.machine.memory);
    const skb = this.#skb;
    if (data.length < ETH_HLEN) {
      throw this.#error(program, 'EINVAL', `packet of ${data.length} bytes is shorter than an Ethernet header (14)`);
    }
    if (data.length > SKB_LINEAR_MAX) {
      throw this.#error(program, 'EINVAL', `packet of ${data.length} bytes is longer than ${SKB_LINEAR_MAX}`);
    }
    const protocol = (data[12]! << 8) | data[13]!;
    const need = protocol === 0x0800 ? ETH_HLEN + 20 : protocol === 0x86dd ? ETH_HLEN + 40 : ETH_HLEN;
    if (data.length < need) {
      throw this.#error(
        program,
        'EINVAL',
        `packet of ${data.length} bytes ends inside its IPv${protocol === 0x0800 ? 4 : 6} header`,
        `the kernel's test run wants ${need} bytes`,
      );
    }
    skb.fill(data, l2, LOOPBACK);
    if (ctx) {
      this.#checkNames(program, SK_BUFF, ctx);
      this.#setSkbContext(program, skb, ctx);
    }
    cpu.packet = skb;
    this.#last = l2 ? 'l2' : 'l3';
    return skb.ctx;
  }

  #setSkbContext(program: Program, skb: Skb, ctx: ContextValues): void {
    const { view } = this.machine.memory;
    for (const [name, value] of Object.entries(ctx)) {
      if (!SKB_SETTABLE.includes(name)) {
        if (value === 0 || value === 0n) continue;
        throw this.#error(program, 'EINVAL', `ctx ${name} cannot be set`, `settable: ${SKB_SETTABLE.join(', ')}`);
      }
      const field = contextField(SK_BUFF, name)!;
      const values = typeof value === 'object' ? value : [value];
      const count = field.count ?? 1;
      if (values.length > count) throw this.#error(program, 'EINVAL', `ctx ${name} has ${count} elements`);
      for (const [index, element] of values.entries()) {
        const at = skb.ctx + field.offset + index * field.size;
        if (field.size === 8) view.setBigUint64(at, BigInt(element), true);
        else view.setUint32(at, Number(element), true);
      }
    }
    const ifindex = 'ifindex' in ctx ? this.#number(program, ctx, 'ifindex') : LOOPBACK;
    if (ifindex === 0) view.setUint32(skb.ctx + 40, LOOPBACK, true);
    else if (ifindex > 1 && !this.deviceExists(ifindex)) {
      throw this.#error(program, 'ENODEV', `there is no device with ifindex ${ifindex}`);
    }
    const wire = this.#number(program, ctx, 'wire_len');
    if (wire === 0) view.setUint32(skb.ctx + 160, skb.length, true);
    else if (wire < skb.length || wire > 65536) {
      throw this.#error(program, 'EINVAL', `ctx wire_len ${wire} is not between ${skb.length} and 65536`);
    }
    if (this.#number(program, ctx, 'gso_segs') > 65535) {
      throw this.#error(program, 'EINVAL', 'ctx gso_segs is above 65535');
    }
  }

  #checkNames(program: Program, layout: ContextLayout, ctx: ContextValues): void {
    for (const name of Object.keys(ctx)) {
      if (!contextField(layout, name)) {
        const known = layout.fields.map((field) => field.name).join(', ');
        throw this.#error(program, 'EINVAL', `struct ${layout.name} has no field ${name}`, `its fields are ${known}`);
      }
    }
  }

  #number(program: Program, ctx: ContextValues, name: string): number {
    const value = ctx[name] ?? 0;
    if (typeof value === 'object') throw this.#error(program, 'EINVAL', `ctx ${name} is one number`);
    return Number(value);
  }

  #error(program: Program, errno: ErrnoName, message: string, hint?: string): BpfError {
    return new BpfError(`${message} (${errno}, ${-E[errno]})`, { program: program.name, errno, ...(hint && { hint }) });
  }
}
