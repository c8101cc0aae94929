// hot: no allocation, no closure, no BigInt per call (for_each_map_elem excepted)
import { E } from '../../base/errno.ts';
import { FaultError } from '../../base/error.ts';
import type { BpfMap } from '../../maps/map.ts';
import { type HelperRow, helper } from '../prototypes/helper.ts';

/** An operation that the map's type does not have: Linux refuses such a program when it is loaded. */
function refused(map: BpfMap, name: string): never {
  throw new FaultError(`cannot pass map_type ${map.typeId} into func ${name}`, {
    errno: 'EINVAL',
    hint: `map ${map.name} is a ${map.type}; Linux refuses this program when it is loaded`,
  });
}

/** Helpers on maps: each is the map's own operation, with the errnos of `map.ts`. */
export const mapHelpers: readonly HelperRow[] = [
  helper({
    id: 1,
    name: 'bpf_map_lookup_elem',
    args: ['const_map_ptr', 'map_key'],
    ret: 'map_value_or_null',
    types: 'all',
    pktAccess: true,
    call: (cpu, map, key) => (map.lookup ? map.lookup(key, cpu.id) : refused(map, 'bpf_map_lookup_elem#1')),
  }),
  helper({
    id: 2,
    name: 'bpf_map_update_elem',
    writesMap: true,
    args: ['const_map_ptr', 'map_key', 'map_value', 'anything'],
    ret: 'integer',
    types: 'all',
    pktAccess: true,
    call: (cpu, map, key, value, flagsLo, flagsHi) =>
      map.update ? map.update(key, value, flagsLo, flagsHi, cpu.id) : refused(map, 'bpf_map_update_elem#2'),
  }),
  helper({
    id: 3,
    name: 'bpf_map_delete_elem',
    writesMap: true,
    args: ['const_map_ptr', 'map_key'],
    ret: 'integer',
    types: 'all',
    pktAccess: true,
    call: (cpu, map, key) => (map.delete ? map.delete(key, cpu.id) : refused(map, 'bpf_map_delete_elem#3')),
  }),
  helper({
    id: 12,
    name: 'bpf_tail_call',
    args: ['ctx', 'const_map_ptr', 'anything32'],
    ret: 'void',
    types: 'all',
    changesPacket: true,
    engine: 'tail_call',
    call: () => undefined,
  }),
  helper({
    id: 87,
    name: 'bpf_map_push_elem',
    writesMap: true,
    args: ['const_map_ptr', 'map_value', 'anything'],
    ret: 'integer',
    types: 'all',
    pktAccess: true,
    call: (_cpu, map, value, flagsLo, flagsHi) =>
      map.push ? map.push(value, flagsLo, flagsHi) : refused(map, 'bpf_map_push_elem#87'),
  }),
  helper({
    id: 88,
    name: 'bpf_map_pop_elem',
    writesMap: true,
    args: ['const_map_ptr', 'uninit_map_value'],
    ret: 'integer',
    types: 'all',
    call: (_cpu, map, value) => (map.pop ? map.pop(value) : refused(map, 'bpf_map_pop_elem#88')),
  }),
  helper({
    id: 89,
    name: 'bpf_map_peek_elem',
    args: ['const_map_ptr', 'uninit_map_value'],
    ret: 'integer',
    types: 'all',
    call: (_cpu, map, value) => (map.peek ? map.peek(value) : refused(map, 'bpf_map_peek_elem#89')),
  }),
  helper({
    id: 164,
    name: 'bpf_for_each_map_elem',
    args: ['const_map_ptr', 'func', 'stack_or_null', 'anything'],
    ret: 'integer',
    types: 'all',
    // kernel: bpf_for_each_map_elem()
    call: (cpu, map, fn, ctxLo, ctxHi, flagsLo, flagsHi) => {
      if ((flagsLo | flagsHi) !== 0) return -E.EINVAL;
      if (!map.forEach) {
        // kernel: map_set_for_each_callback_args() is absent
        throw new FaultError('callback function not allowed for map', {
          errno: 'ENOTSUPP',
          hint: `map ${map.name} is a ${map.type}; Linux refuses this program when it is loaded`,
        });
      }
      const key: [number, number] = [0, 0];
      const value: [number, number] = [0, 0];
      const args: readonly [number, number][] = [[map.handle, 0], key, value, [ctxLo, ctxHi]];
      return map.forEach(cpu.id, (keyAt, valueAt) => {
        key[0] = keyAt;
        value[0] = valueAt;
        return cpu.callback(fn, args);
      });
    },
  }),
  helper({
    id: 195,
    name: 'bpf_map_lookup_percpu_elem',
    args: ['const_map_ptr', 'map_key', 'anything32'],
    ret: 'map_value_or_null',
    types: 'all',
    pktAccess: true,
    call: (_cpu, map, key, index) =>
      map.lookupPercpu ? map.lookupPercpu(key, index >>> 0) : refused(map, 'bpf_map_lookup_percpu_elem#195'),
  }),
];
