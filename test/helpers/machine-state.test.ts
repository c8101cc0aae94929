import { describe, expect, test } from 'vitest';
import { runAs } from '../../src/vm/helpers/current-task.ts';
import { genericHelpers, genericKfuncs } from '../../src/vm/helpers/generic.ts';
import { HELPER_NAMES, helperName } from '../../src/vm/prototypes/helper-names.ts';
import { HelperBench, row } from './helper-bench.ts';

describe('clocks', () => {
  test('all follow the virtual clock', () => {
    const bench = new HelperBench();
    bench.machine.clock.advance(6_999_999);
    const now = 1_006_999_999n;
    expect(bench.call64('ktime_get_ns')).toBe(now);
    expect(bench.call64('ktime_get_boot_ns')).toBe(now);
    expect(bench.call64('ktime_get_coarse_ns')).toBe(1_004_000_000n);
    expect(bench.call64('ktime_get_tai_ns')).toBe(1_700_000_000_000_000_000n + now);
    expect(bench.call64('jiffies64')).toBe(2n ** 32n - 300n * 250n + 251n);
  });

  test('jiffies pass 2^32 after 300 s', () => {
    const bench = new HelperBench();
    bench.machine.clock.runUntil(300_000_000_000);
    expect(bench.call64('jiffies64')).toBe(2n ** 32n);
  });
});

describe('CPU and randomness', () => {
  test('the same seed gives the same numbers', () => {
    const draw = (seed: number) => {
      const bench = new HelperBench({ seed });
      return [1, 2, 3].map(() => bench.call('get_prandom_u32'));
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(row('get_prandom_u32').ret).toBe('u32');
  });

  test('a program sees the number of its CPU', () => {
    const bench = new HelperBench({ cpus: 4 });
    bench.cpu = bench.machine.cpuList[3]!;
    expect(bench.call('get_smp_processor_id')).toBe(3);
    expect(bench.call('get_numa_node_id')).toBe(0);
  });

  test('[M-274] there are no branch records', () => {
    const bench = new HelperBench();
    expect(bench.call('get_branch_snapshot', bench.room(24), 24, 0, 0)).toBe(-2);
    expect(bench.call('get_branch_snapshot', bench.room(24), 24, 1, 0)).toBe(-22);
  });
});

describe('the current task', () => {
  const task = { pid: 12, tgid: 11, uid: 1000, gid: 100, comm: 'bpflab' };

  test('[M-271] in a test run it is the caller', () => {
    const bench = new HelperBench();
    runAs(bench.machine, task, () => {
      expect(bench.call64('get_current_pid_tgid')).toBe((11n << 32n) | 12n);
      expect(bench.call64('get_current_uid_gid')).toBe((100n << 32n) | 1000n);
    });
    expect(bench.call64('get_current_pid_tgid')).toBe(0n);
  });

  test('a test run that fails gives the idle task back', () => {
    const bench = new HelperBench();
    expect(() =>
      runAs(bench.machine, task, () => {
        throw new Error('stop');
      }),
    ).toThrow('stop');
    expect(bench.call64('get_current_pid_tgid')).toBe(0n);
  });

  test.each([
    [4, [0x73, 0x77, 0x61, 0]],
    [1, [0]],
    [16, [...Buffer.from('swapper/0'), 0, 0, 0, 0, 0, 0, 0]],
    [20, [...Buffer.from('swapper/0'), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ])('its name in %i bytes ends with a NUL and is padded', (size, bytes) => {
    const bench = new HelperBench();
    const to = bench.room(32, 0x5a);
    expect(bench.call('get_current_comm', to, size)).toBe(0);
    expect(bench.read(to, size + 1)).toEqual([...bytes, 0x5a]);
  });

  test('it is in the root control group and cannot be signalled', () => {
    const bench = new HelperBench();
    expect(bench.call64('get_current_cgroup_id')).toBe(1n);
    expect(bench.call64('get_current_ancestor_cgroup_id', 0)).toBe(1n);
    expect(bench.call64('get_current_ancestor_cgroup_id', 1)).toBe(0n);
    expect(bench.call('send_signal', 9)).toBe(-1);
    expect(bench.call('send_signal_thread', 9)).toBe(-1);
  });

  test('its address cannot be read', () => {
    const bench = new HelperBench();
    const lo = bench.call('get_current_task');
    expect(bench.call('probe_read_kernel', bench.room(8), 8, lo, bench.cpu.hi)).toBe(-14);
  });
});

describe('the helper table', () => {
  test('has the kernel names, ids counting up, once per program type', () => {
    const seen = new Set<string>();
    for (const helper of genericHelpers) {
      expect(helperName(helper.id)?.name).toBe(helper.name);
      expect(helperName(helper.name)?.id).toBe(helper.id);
      for (const type of helper.types === 'all' ? ['all'] : helper.types) {
        expect(seen).not.toContain(`${helper.name} ${type}`);
        seen.add(`${helper.name} ${type}`);
      }
    }
    expect(HELPER_NAMES.map((helper) => helper.id)).toEqual(Array.from({ length: 211 }, (_, i) => i + 1));
    expect(new Set(genericKfuncs.map((kfunc) => kfunc.name)).size).toBe(genericKfuncs.length);
  });

  test('[M-272] get_netns_cookie is there for tc, not for XDP', () => {
    expect(row('get_netns_cookie').types).toContain('sched_cls');
    expect(row('get_netns_cookie').types).not.toContain('xdp');
    expect(new HelperBench().call64('get_netns_cookie', 0)).toBe(1n);
  });

  test.each([
    ['[M-269] the old probe_read', ['bpf_probe_read', 'bpf_probe_read_str']],
    ['[M-270] copy_from_user, which may sleep,', ['bpf_copy_from_user', 'bpf_copy_from_user_task']],
    [
      '[M-273] what only tracing has',
      ['bpf_get_func_arg', 'bpf_get_retval', 'bpf_get_stackid', 'bpf_get_stack', 'bpf_get_func_ip'],
    ],
  ])('%s is not in it', (_name, names) => {
    for (const name of names) {
      expect(helperName(name)).toBeDefined();
      expect(genericHelpers.filter((helper) => helper.name === name)).toEqual([]);
    }
  });
});

describe('sections and locks', () => {
  test('do nothing but save interrupt state', () => {
    const bench = new HelperBench();
    const flag = bench.room(8, 0x5a);
    bench.call('local_irq_save', flag);
    expect(bench.u64(flag)).toBe(0n);
    expect(bench.call('res_spin_lock', bench.room(8))).toBe(0);
  });
});

describe('bpf_kptr_xchg', () => {
  test('swaps 64 bits', () => {
    const bench = new HelperBench();
    const field = bench.u64s(0x1234_5678_9abc_def0n);
    expect(bench.call64('kptr_xchg', field, 5, 6)).toBe(0x1234_5678_9abc_def0n);
    expect(bench.u64(field)).toBe((6n << 32n) | 5n);
  });
});
