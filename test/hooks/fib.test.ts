import { beforeEach, describe, expect, test } from 'vitest';
import { E } from '../../src/base/errno.ts';
import { fibOf } from '../../src/hooks/fib-lookup.ts';
import type { Fib } from '../../src/net/fib.ts';
import { Vm } from '../support/vm.ts';

let vm: Vm;
let fib: Fib;

/** Runs bpf_fib_lookup for 10.0.0.1 -> 10.1.0.2 and returns the result with the struct's fields. */
function lookup({ ifindex = 2, family = 2, size = 64, flags = 0, length = 100 } = {}) {
  const map = vm.map({ type: 'array', name: 'params', keySize: 4, valueSize: 64, maxEntries: 1 });
  const value = new Uint8Array(64);
  const view = new DataView(value.buffer);
  view.setUint8(0, family);
  view.setUint16(6, length, true);
  view.setUint32(8, ifindex, true);
  value.set([10, 0, 0, 1], 16);
  value.set([10, 1, 0, 2], 32);
  map.sys.update(new Uint8Array(4), value, 0n);
  const program = vm.load(`r2 = map[idx:0]+0\nr3 = ${size}\nr4 = ${flags}\ncall bpf_fib_lookup#69\nexit`, {
    maps: [map],
  });
  const result = Number(BigInt.asIntN(64, vm.run(program).r0));
  map.sys.lookup(new Uint8Array(4), 0n, value);
  return {
    result,
    ifindex: view.getUint32(8, true),
    mtu: view.getUint16(6, true),
    destination: [...value.subarray(32, 36)],
    smac: [...value.subarray(52, 58)],
    dmac: [...value.subarray(58, 64)],
  };
}

beforeEach(() => {
  vm = new Vm();
  fib = fibOf.of(vm.machine);
  fib.setDevice({ ifindex: 2, mac: '02:00:00:00:00:02' });
  fib.setDevice({ ifindex: 3, mac: '02:00:00:00:00:03', mtu: 1400 });
});

describe('bpf_fib_lookup', () => {
  test('succeeds through a gateway and fills MAC addresses, device and next hop', () => {
    fib.addRoute({ to: '10.0.0.0/8', dev: 2 });
    fib.addRoute({ to: '10.1.0.0/16', dev: 3, via: '192.168.0.1' });
    fib.addNeighbour({ dev: 3, ip: '192.168.0.1', mac: '0a:00:00:00:00:01' });
    expect(lookup()).toEqual({
      result: 0,
      ifindex: 3,
      mtu: 1400,
      destination: [192, 168, 0, 1],
      smac: [2, 0, 0, 0, 0, 3],
      dmac: [10, 0, 0, 0, 0, 1],
    });
  });

  test.each([
    ['no neighbour', () => fib.addRoute({ to: '10.1.0.0/16', dev: 3 }), {}, 7],
    ['SKIP_NEIGH without a neighbour', () => fib.addRoute({ to: '10.1.0.0/16', dev: 3 }), { flags: 4 }, 0],
    ['a blackhole', () => fib.addRoute({ to: '10.1.0.0/16', type: 'blackhole' }), {}, 1],
    ['unreachable', () => fib.addRoute({ to: '10.1.0.0/16', type: 'unreachable' }), {}, 2],
    ['prohibit', () => fib.addRoute({ to: '10.1.0.0/16', type: 'prohibit' }), {}, 3],
    ['a local address', () => fib.addRoute({ to: '10.1.0.2', type: 'local' }), {}, 4],
    ['no route', () => {}, {}, 4],
    ['a device that does not forward', () => {}, { ifindex: 1 }, 5],
    ['a packet above the MTU', () => fib.addRoute({ to: '10.1.0.0/16', dev: 3 }), { length: 1401 }, 8],
    ['an unknown device', () => {}, { ifindex: 9 }, -E.ENODEV],
    ['another family', () => {}, { family: 7 }, -E.EAFNOSUPPORT],
    ['a short struct', () => {}, { size: 63 }, -E.EINVAL],
    ['an unknown flag', () => {}, { flags: 64 }, -E.EINVAL],
  ])('%s', (_name, prepare, input, expected) => {
    prepare();
    expect(lookup(input).result).toBe(expected);
  });

  test('a route over a device that does not exist is refused', () => {
    expect(() => fib.addRoute({ to: '10.0.0.0/8', dev: 9 })).toThrow(/no device with ifindex 9/);
    expect(() => fib.addRoute({ to: '10.0.0.0/40', dev: 2 })).toThrow(/40 is no prefix length/);
  });
});
