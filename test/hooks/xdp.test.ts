import { describe, expect, test } from 'vitest';
import { E } from '../../src/base/errno.ts';
import { XdpBuff } from '../../src/hooks/xdp/xdp-buff.ts';
import { currentTask } from '../../src/vm/helpers/current-task.ts';
import { BPF_F_XDP_HAS_FRAGS, BPF_XDP_CPUMAP, BPF_XDP_DEVMAP } from '../../src/vm/prototypes/prog-type.ts';
import { Vm } from '../support/vm.ts';

const vm = new Vm();
const packet = (size: number) => Uint8Array.from({ length: size }, (_, i) => i & 0xff);
const s64 = (value: bigint) => Number(BigInt.asIntN(64, value));
/** One helper call on the context with a number: its result. */
const adjust = (name: string, delta: number, size = 100) =>
  s64(vm.r0(`r2 = ${delta}\ncall ${name}\nexit`, {}, packet(size)));

test('[M-271] a test run is the work of the task that asked for it, of nobody afterwards', () => {
  expect(vm.r0('call bpf_get_current_pid_tgid#14\nexit')).toBe((1000n << 32n) | 1000n);
  expect(currentTask(vm.machine, 0)).toMatchObject({ pid: 0, tgid: 0 });
});

describe('XDP helpers', () => {
  test.each([
    ['bpf_xdp_adjust_head#44', -216, 0],
    ['bpf_xdp_adjust_head#44', -217, -E.EINVAL],
    ['bpf_xdp_adjust_head#44', 86, 0],
    ['bpf_xdp_adjust_head#44', 87, -E.EINVAL],
    ['bpf_xdp_adjust_tail#65', 3420, 0],
    ['bpf_xdp_adjust_tail#65', 3421, -E.EINVAL],
    ['bpf_xdp_adjust_tail#65', -86, 0],
    ['bpf_xdp_adjust_tail#65', -87, -E.EINVAL],
    ['bpf_xdp_adjust_meta#54', -3, -E.EACCES],
    ['bpf_xdp_adjust_meta#54', -36, 0],
    ['bpf_xdp_adjust_meta#54', -216, 0],
    ['bpf_xdp_adjust_meta#54', -220, -E.EINVAL],
    ['bpf_xdp_adjust_meta#54', 4, -E.EINVAL],
  ])('%s by %i gives %i', (name, delta, expected) => {
    expect(adjust(name, delta)).toBe(expected);
  });

  test('with 32 bytes of metadata the head has 184 bytes to go', () => {
    const run = (delta: number) => {
      const program = vm.load(
        `r6 = r1\nr2 = -32\ncall bpf_xdp_adjust_meta#54\nr1 = r6\nr2 = ${delta}\ncall bpf_xdp_adjust_head#44\nexit`,
      );
      return s64(vm.run(program, packet(100)).r0);
    };
    expect(run(-184)).toBe(0);
    expect(run(-188)).toBe(-E.EINVAL);
  });

  test('metadata moves along with the head and comes out in front of the packet', () => {
    const program = vm.load(`
      r6 = r1
      r2 = -4
      call bpf_xdp_adjust_meta#54
      r1 = *(u32 *)(r6 +8)
      *(u32 *)(r1 +0) = 0x64636261
      r1 = r6
      r2 = -10
      call bpf_xdp_adjust_head#44
      r0 = *(u32 *)(r6 +0)
      r1 = *(u32 *)(r6 +8)
      r0 -= r1
      exit`);
    const { r0, data } = vm.run(program, packet(100));
    expect(r0).toBe(4n);
    expect(data).toHaveLength(114);
    expect([...data.subarray(0, 4)]).toEqual([0x61, 0x62, 0x63, 0x64]);
    expect(data[14]).toBe(0);
    expect(data[113]).toBe(99);
  });

  test('bytes that the tail grows by are zero', () => {
    const program = vm.load('r2 = 4\ncall bpf_xdp_adjust_tail#65\nexit');
    vm.run(vm.load('r1 = *(u32 *)(r1 +0)\nr0 = 0\n*(u8 *)(r1 +101) = 7\nexit'), packet(104));
    expect([...vm.run(program, packet(100)).data.subarray(99)]).toEqual([99, 0, 0, 0, 0]);
  });

  test.each([
    [92, 8, 0],
    [93, 8, -E.EINVAL],
    [65535, 8, -E.EINVAL],
    [65536, 8, -E.EFAULT],
    [-1, 8, -E.EFAULT],
  ])('bpf_xdp_load_bytes and store_bytes at %i of %i bytes give %i', (offset, size, expected) => {
    for (const name of ['bpf_xdp_load_bytes#189', 'bpf_xdp_store_bytes#190']) {
      const text = `*(u64 *)(r10 -8) = 0\nr2 = ${offset}\nr3 = r10\nr3 += -8\nr4 = ${size}\ncall ${name}\nexit`;
      expect(s64(vm.r0(text, {}, packet(100)))).toBe(expected);
    }
  });

  test('a packet of 6000 bytes has 3520 linear ones; load_bytes reads across the border', () => {
    const attr = { flags: BPF_F_XDP_HAS_FRAGS };
    const data = packet(6000);
    expect(vm.r0('r2 = *(u32 *)(r1 +4)\nr0 = *(u32 *)(r1 +0)\nr2 -= r0\nr0 = r2\nexit', attr, data)).toBe(3520n);
    expect(vm.r0('call bpf_xdp_get_buff_len#188\nexit', attr, data)).toBe(6000n);
    const text =
      '*(u64 *)(r10 -8) = 0\nr2 = 3516\nr3 = r10\nr3 += -8\nr4 = 8\ncall bpf_xdp_load_bytes#189\nr0 = *(u64 *)(r10 -8)\nexit';
    const expected = data.subarray(3516, 3524).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    expect(vm.r0(text, attr, data)).toBe(expected);
  });

  test('shrinking takes whole fragments off, then the linear part', () => {
    const text = 'r2 = -2600\ncall bpf_xdp_adjust_tail#65\nexit';
    const { r0, data } = vm.run(vm.load(text, { flags: BPF_F_XDP_HAS_FRAGS }), packet(6000));
    expect(r0).toBe(0n);
    expect(data).toEqual(packet(6000).subarray(0, 3400));
  });

  test('a driver without metadata gives ENOTSUPP', () => {
    const buff = new XdpBuff(vm.machine.memory);
    buff.metaSupported = false;
    buff.fill(packet(64));
    expect(buff.adjustMeta(-4)).toBe(-E.ENOTSUPP);
    expect(buff.adjustHead(-4)).toBe(0);
  });
});

describe('redirect helpers', () => {
  const redirect = (flags: number) => Number(vm.r0(`r1 = 5\nr2 = ${flags}\ncall bpf_redirect#23\nexit`));
  test('bpf_redirect takes no flags in XDP', () => {
    expect(redirect(0)).toBe(4);
    expect(redirect(1)).toBe(0);
  });

  test('bpf_redirect in tc takes BPF_F_INGRESS only', () => {
    const tc = (flags: number) =>
      Number(vm.r0(`r1 = 5\nr2 = ${flags}\ncall bpf_redirect#23\nexit`, { type: 'sched_cls' }));
    expect([tc(0), tc(1), tc(2)]).toEqual([7, 7, 2]);
  });

  const devmap = vm.map({ type: 'devmap', name: 'tx', keySize: 4, valueSize: 4, maxEntries: 4 });
  devmap.sys.update(Uint8Array.of(0, 0, 0, 0), Uint8Array.of(1, 0, 0, 0), 0n);
  const map = (key: string, flags: number) =>
    Number(vm.r0(`r1 = map[idx:0]\nr2 = ${key} ll\nr3 = ${flags}\ncall bpf_redirect_map#51\nexit`, { maps: [devmap] }));

  test.each([
    ['a hit', '0', 3, 4],
    ['a miss', '1', 0, 0],
    ['a miss with XDP_DROP', '1', 1, 1],
    ['a miss with XDP_PASS', '1', 2, 2],
    ['a miss with XDP_TX', '1', 3, 3],
    ['a miss with a bad flag', '1', 5, 0],
    ['a miss with BROADCAST', '1', 8, 4],
    ['a miss with EXCLUDE_INGRESS and XDP_PASS', '1', 18, 2],
    ['a key of more than 32 bits', '0x100000000', 0, 4],
  ])('bpf_redirect_map: %s', (_name, key, flags, expected) => {
    expect(map(key, flags)).toBe(expected);
  });
});

describe('the XDP test run', () => {
  const pass = vm.load('r0 = 2\nexit');
  const run = (size: number, ctx?: Record<string, number>) => () => vm.run(pass, packet(size), ctx);

  test.each<[string, () => unknown, RegExp]>([
    ['13 bytes', run(13), /packet of 13 bytes is shorter than an Ethernet header.*EINVAL/],
    ['more than 17 fragments', run(80000), /needs more than 17 fragments.*ENOMEM/],
    ['metadata of 5 bytes', run(100, { data: 5 }), /metadata length\) 5 is not a multiple of 4/],
    ['metadata of 220 bytes', run(300, { data: 220 }), /220/],
    ['data_meta', run(100, { data_meta: 4 }), /data_meta must be 0/],
    ['data_end past the packet', run(100, { data_end: 101 }), /do not fit 100 bytes/],
    ['an unknown device', run(100, { ingress_ifindex: 77 }), /no device with ifindex 77.*ENODEV/],
    ['a queue of no device', run(100, { rx_queue_index: 1 }), /needs an ingress_ifindex/],
    ['egress_ifindex', run(100, { egress_ifindex: 1 }), /egress_ifindex must be 0/],
    [
      'a field that xdp_md lacks',
      run(100, { mark: 1 }),
      /struct xdp_md has no field mark.*its fields are data, data_end/,
    ],
  ])('refuses %s', (_name, body, message) => {
    expect(body).toThrow(message);
  });

  test.each([4, 32, 36, 216])('takes %i bytes of metadata', (meta) => {
    const program = vm.load('r0 = *(u32 *)(r1 +0)\nr1 = *(u32 *)(r1 +8)\nr0 -= r1\nexit');
    expect(vm.run(program, packet(300), { data: meta }).r0).toBe(BigInt(meta));
  });

  test('the packet comes from queue 0 of loopback', () => {
    expect(vm.r0('r0 = *(u32 *)(r1 +12)\nr1 = *(u32 *)(r1 +16)\nr1 <<= 8\nr0 += r1\nexit')).toBe(1n);
  });

  test('programs run in the context of the calling process', () => {
    expect(vm.r0('call bpf_get_current_pid_tgid#14\nexit')).toBe((1000n << 32n) | 1000n);
  });

  test('repeat runs on the same buffer', () => {
    const program = vm.load('r2 = -10\ncall bpf_xdp_adjust_tail#65\nr0 = 2\nexit');
    vm.testRun.run(program, packet(100), { repeat: 3 });
    expect(vm.testRun.output()).toHaveLength(70);
  });

  test('70000 bytes come back whole, fragments included', () => {
    expect(vm.run(pass, packet(70000)).data).toEqual(packet(70000));
  });

  test('devmap and cpumap programs run, and a devmap program sees its egress device', () => {
    const text = 'r0 = *(u32 *)(r1 +20)\nexit';
    expect(vm.run(vm.load(text, { expectedAttachType: BPF_XDP_DEVMAP }), packet(64), { egress_ifindex: 1 }).r0).toBe(
      1n,
    );
    expect(vm.run(vm.load('r0 = 2\nexit', { expectedAttachType: BPF_XDP_CPUMAP })).retval).toBe(2);
  });
});

describe('the skb test run', () => {
  const tc = (text: string) => vm.load(`${text}\nexit`, { type: 'sched_cls' });
  const ip = (size: number) => {
    const bytes = packet(size);
    bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45].slice(0, size));
    return bytes;
  };
  const field = (offset: number, data = ip(64), type = 'sched_cls') =>
    vm.run(vm.load(`r0 = *(u32 *)(r1 +${offset})\nexit`, { type }), data).r0;

  test.each<[string, number, Record<string, number>, RegExp]>([
    ['33 bytes of IPv4', 33, {}, /ends inside its IPv4 header.*wants 34 bytes/],
    ['4000 bytes', 4000, {}, /longer than 3712/],
    ['13 bytes', 13, {}, /shorter than an Ethernet header/],
    ['ctx len', 64, { len: 1 }, /ctx len cannot be set.*settable: mark/],
    ['an unknown device', 64, { ifindex: 9 }, /no device with ifindex 9/],
    ['wire_len below the length', 64, { wire_len: 10 }, /wire_len 10 is not between 64 and 65536/],
    ['gso_segs of 65536', 64, { gso_segs: 65536 }, /gso_segs is above 65535/],
  ])('refuses %s', (_name, size, ctx, message) => {
    expect(() => vm.run(tc('r0 = 0'), ip(size), ctx)).toThrow(message);
  });

  test('the fresh __sk_buff is what the kernel gives', () => {
    expect(field(0)).toBe(64n);
    expect(field(4)).toBe(3n); // PACKET_OTHERHOST
    expect(field(16)).toBe(0x0008n); // ETH_P_IP in network order
    expect(field(40)).toBe(1n);
    expect(field(160)).toBe(0n); // wire_len is set with a ctx only
    expect(field(168)).not.toBe(0n);
    const broadcast = ip(64);
    broadcast.fill(0xff, 0, 6);
    expect(field(4, broadcast)).toBe(2n); // PACKET_MULTICAST
  });

  test('socket filters and cgroup programs start at the network header', () => {
    expect(field(0, ip(64), 'socket_filter')).toBe(50n);
    const program = vm.load('r1 = *(u32 *)(r1 +76)\nr0 = *(u8 *)(r1 +0)\nexit', { type: 'cgroup_skb' });
    const { r0, data } = vm.run(program, ip(64));
    expect(r0).toBe(0x45n);
    expect(data).toHaveLength(64);
    expect([...data.subarray(0, 15)]).toEqual([...new Array(14).fill(0), 0x45]);
  });

  test('settable fields go in and come out', () => {
    const program = tc(
      'r2 = *(u32 *)(r1 +8)\nr2 += 1\n*(u32 *)(r1 +8) = r2\n*(u32 *)(r1 +48) = 9\nr0 = *(u32 *)(r1 +52)',
    );
    const { r0 } = vm.run(program, ip(64), { mark: 41, cb: [1, 2], tstamp: 5 });
    expect(r0).toBe(2n);
    const out = new DataView(vm.testRun.context().buffer);
    expect(out.getUint32(8, true)).toBe(42);
    expect(out.getUint32(48, true)).toBe(9);
    expect(out.getUint32(52, true)).toBe(2);
    expect(out.getBigUint64(152, true)).toBe(5n);
    expect(out.getUint32(0, true)).toBe(0);
  });

  test('types without a test run say so', () => {
    expect(() => vm.run(vm.load('r0 = 0\nexit', { type: 'kprobe' }))).toThrow(
      /programs of type kprobe cannot run alone.*ENOTSUPP/,
    );
  });
});
