// hot: lookup
import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { RegionSet } from './arena.ts';
import { withRegions } from './arena.ts';
import { GrowingPool } from './entry-pool.ts';
import { ENTRY, roundUp8 } from './layout.ts';
import type { BpfMap, MapAttr, MapEnv, MapSyscalls } from './map.ts';
import { MapBase } from './map-base.ts';
import { BPF_EXIST, BPF_NOEXIST, programsMayWrite } from './map-flags.ts';
import { ValueCopier } from './values.ts';

/**
 * Words of a trie node, which is an entry of ENTRY's layout used otherwise:
 *
 * ```
 * node ->  +0 child 0   +4 child 1   +8 value   +12 intermediate?   +16 prefixlen   +20 data, most significant bit first
 * ```
 */
const CHILD = 0;
const INTERMEDIATE = ENTRY.state >> 2;
const PREFIXLEN = ENTRY.key >> 2;
const DATA = PREFIXLEN + 1;

/** kernel: BPF_MAP_TYPE_LPM_TRIE. Freed nodes are reused at once (differs from kernel: there after a grace period). */
class LpmTrie extends MapBase {
  readonly sys: MapSyscalls;
  readonly #words: Int32Array;
  readonly #pool: GrowingPool;
  readonly #copier: ValueCopier;
  readonly #maxPrefix: number;
  readonly #keyWords: number;
  /** Address of the word that holds the root; links to nodes are such addresses everywhere. */
  readonly #root: number;
  #count = 0;

  constructor(env: MapEnv, attr: MapAttr, typeId: number, regions: RegionSet, root: number, pool: GrowingPool) {
    super(env, attr, typeId, regions);
    this.#words = env.memory.i32;
    this.#pool = pool;
    this.#root = root;
    this.#copier = new ValueCopier(env.memory, attr.valueSize, attr.fields);
    this.#maxPrefix = (attr.keySize - 4) * 8;
    this.#keyWords = Math.ceil(attr.keySize / 4);
    this.arena.pad.at(this.#keyWords * 4);
    this.sys = {
      wireValueSize: attr.valueSize,
      lookup: (key, _flags, out) => {
        const value = this.lookup(this.stageKey(key));
        if (value === 0) return -E.ENOENT;
        this.#copier.read(value, out);
        return 0;
      },
      update: (key, value, flags) =>
        flags > 2n
          ? -E.EINVAL
          : this.update(this.stageKey(key), this.stageValue(value), Number(flags), 0, this.userCpu),
      delete: (key) => this.delete(this.stageKey(key), this.userCpu),
      nextKey: (key, out) => this.#nextKey(key, out),
      batch: { commands: ['lookup', 'update', 'delete'] },
    };
  }

  /** Number of prefixes stored. */
  get size(): number {
    return this.#count;
  }

  lookup(key: number): number {
    // kernel: trie_lookup_elem()
    const words = this.#words;
    const at = this.#keyAt(key);
    if (words[at]! >>> 0 > this.#maxPrefix) return 0;
    let found = 0;
    let node = words[this.#root >> 2]!;
    while (node !== 0) {
      const n = node >> 2;
      const matched = this.#match(node, at);
      if (matched === this.#maxPrefix) {
        found = node;
        break;
      }
      const length = words[n + PREFIXLEN]!;
      if (matched < length) break;
      if (words[n + INTERMEDIATE] === 0) found = node;
      node = words[n + CHILD + this.#bit(at + 1, length)]!;
    }
    return found === 0 ? 0 : words[(found + ENTRY.value) >> 2]!;
  }

  update(key: number, value: number, flagsLo: number, flagsHi: number, cpu: number): Errno {
    // kernel: trie_update_elem()
    if (flagsHi !== 0 || flagsLo >>> 0 > 2) return -E.EINVAL;
    const words = this.#words;
    const at = this.#keyAt(key);
    const length = words[at]! >>> 0;
    if (length > this.#maxPrefix) return -E.EINVAL;
    const link = this.#descend(at);
    const node = words[link >> 2]!;
    const matched = node === 0 ? 0 : this.#match(node, at);
    const nodeLength = node === 0 ? 0 : words[(node >> 2) + PREFIXLEN]!;
    const same = node !== 0 && nodeLength === matched;
    const replaces = same && words[(node >> 2) + INTERMEDIATE] === 0;
    if (replaces && flagsLo === BPF_NOEXIST) return -E.EEXIST;
    if (!replaces) {
      // kernel: trie_check_add_elem()
      if (flagsLo === BPF_EXIST) return -E.ENOENT;
      if (this.#count === this.maxEntries) return -E.ENOSPC;
    }
    const fresh = this.#newNode(at, value, cpu);
    if (fresh === 0) return -E.ENOMEM;
    if (node === 0) {
      words[link >> 2] = fresh;
    } else if (same) {
      words[fresh >> 2] = words[node >> 2]!;
      words[(fresh >> 2) + 1] = words[(node >> 2) + 1]!;
      words[link >> 2] = fresh;
      this.#free(node, cpu);
    } else if (matched === length) {
      words[(fresh >> 2) + this.#bit((node >> 2) + DATA, matched)] = node;
      words[link >> 2] = fresh;
    } else {
      const fork = this.#pool.take(cpu);
      if (fork === 0) {
        this.#free(fresh, cpu);
        return -E.ENOMEM;
      }
      const f = fork >> 2;
      words.copyWithin(f + DATA, (node >> 2) + DATA, (node >> 2) + PREFIXLEN + this.#keyWords);
      words[f + PREFIXLEN] = matched;
      words[f + INTERMEDIATE] = 1;
      const bit = this.#bit(at + 1, matched);
      words[f + bit] = fresh;
      words[f + 1 - bit] = node;
      words[link >> 2] = fork;
    }
    if (!replaces) this.#count++;
    return 0;
  }

  delete(key: number, cpu: number): Errno {
    // kernel: trie_delete_elem()
    const words = this.#words;
    const at = this.#keyAt(key);
    const length = words[at]! >>> 0;
    if (length > this.#maxPrefix) return -E.EINVAL;
    let link = this.#root;
    let parentLink = link;
    let parent = 0;
    let node = words[link >> 2]!;
    let matched = 0;
    while (node !== 0) {
      matched = this.#match(node, at);
      const nodeLength = words[(node >> 2) + PREFIXLEN]!;
      if (nodeLength !== matched || nodeLength === length) break;
      parent = node;
      parentLink = link;
      link = node + 4 * this.#bit(at + 1, nodeLength);
      node = words[link >> 2]!;
    }
    if (node === 0) return -E.ENOENT;
    const n = node >> 2;
    if (words[n + PREFIXLEN] !== length || matched !== length || words[n + INTERMEDIATE] !== 0) return -E.ENOENT;
    this.#count--;
    const child0 = words[n]!;
    const child1 = words[n + 1]!;
    if (child0 !== 0 && child1 !== 0) {
      words[n + INTERMEDIATE] = 1;
      return 0;
    }
    if (parent !== 0 && words[(parent >> 2) + INTERMEDIATE] !== 0 && child0 === 0 && child1 === 0) {
      const p = parent >> 2;
      words[parentLink >> 2] = words[p] === node ? words[p + 1]! : words[p]!;
      this.#free(parent, cpu);
    } else {
      words[link >> 2] = child0 !== 0 ? child0 : child1;
    }
    this.#free(node, cpu);
    return 0;
  }

  /** Word index of the key, padded where it is not whole aligned words. */
  #keyAt(key: number): number {
    if (this.keySize % 4 === 0 && (key & 3) === 0) return key >> 2;
    const at = this.arena.pad.at(this.#keyWords * 4);
    // What the padding holds does not matter: no comparison goes beyond a prefix.
    this.memory.u8.copyWithin(at, key, key + this.keySize);
    return at >> 2;
  }

  /** Common prefix of a node and a key, at most the shorter's length. kernel: longest_prefix_match() */
  #match(node: number, key: number): number {
    const words = this.#words;
    const n = node >> 2;
    const nodeLength = words[n + PREFIXLEN]!;
    const keyLength = words[key]!;
    const limit = Math.min(nodeLength, keyLength);
    let bits = 0;
    for (let i = 0; bits < limit; i++) {
      const d = words[n + DATA + i]! ^ words[key + 1 + i]!;
      if (d !== 0) {
        const swapped = (d << 24) | ((d & 0xff00) << 8) | ((d >>> 8) & 0xff00) | (d >>> 24);
        bits += Math.clz32(swapped);
        break;
      }
      bits += 32;
    }
    return Math.min(bits, limit);
  }

  /** Bit of data that starts at a word index; bit 0 is the most significant of byte 0. kernel: extract_bit() */
  #bit(dataWord: number, index: number): number {
    return (this.memory.u8[dataWord * 4 + (index >> 3)]! >> (7 - (index & 7))) & 1;
  }

  /** Address of the link at which a walk for the key ends. */
  #descend(key: number): number {
    const words = this.#words;
    let link = this.#root;
    let node = words[link >> 2]!;
    while (node !== 0) {
      const length = words[(node >> 2) + PREFIXLEN]!;
      if (length !== this.#match(node, key) || length === words[key]) break;
      link = node + 4 * this.#bit(key + 1, length);
      node = words[link >> 2]!;
    }
    return link;
  }

  #newNode(key: number, value: number, cpu: number): number {
    const node = this.#pool.take(cpu);
    if (node === 0) return 0;
    const words = this.#words;
    const n = node >> 2;
    words[n] = 0;
    words[n + 1] = 0;
    words[n + INTERMEDIATE] = 0;
    for (let i = 0; i < this.#keyWords; i++) words[n + PREFIXLEN + i] = words[key + i]!;
    this.#copier.store(words[(node + ENTRY.value) >> 2]!, value);
    return node;
  }

  #free(node: number, cpu: number): void {
    this.#pool.give(node, cpu);
  }

  /** kernel: trie_get_next_key(): post-order, child 0 before child 1, without the intermediate nodes */
  #nextKey(key: Uint8Array | undefined, out: Uint8Array): Errno {
    const words = this.#words;
    const root = words[this.#root >> 2]!;
    if (root === 0) return -E.ENOENT;
    const path = key === undefined ? [] : this.#pathTo(this.#keyAt(this.stageKey(key)));
    if (path.length === 0) return this.#copyKey(this.#leftmost(root), out);
    for (let i = path.length - 1; i > 0; i--) {
      const parent = path[i - 1]!;
      const sibling = words[(parent >> 2) + 1]!;
      if (words[parent >> 2] === path[i] && sibling !== 0) return this.#copyKey(this.#leftmost(sibling), out);
      if (words[(parent >> 2) + INTERMEDIATE] === 0) return this.#copyKey(parent, out);
    }
    return -E.ENOENT;
  }

  /** Nodes from the root to the key's own node; empty when the key is not stored. */
  #pathTo(key: number): number[] {
    const words = this.#words;
    const length = words[key]! >>> 0;
    if (length > this.#maxPrefix) return [];
    const path: number[] = [];
    let node = words[this.#root >> 2]!;
    while (node !== 0) {
      path.push(node);
      const nodeLength = words[(node >> 2) + PREFIXLEN]!;
      const matched = this.#match(node, key);
      if (nodeLength !== matched || nodeLength === length) {
        return nodeLength === matched && words[(node >> 2) + INTERMEDIATE] === 0 ? path : [];
      }
      node = words[(node >> 2) + this.#bit(key + 1, nodeLength)]!;
    }
    return [];
  }

  #leftmost(root: number): number {
    const words = this.#words;
    let node = root;
    for (;;) {
      const child = words[node >> 2]! || words[(node >> 2) + 1]!;
      if (child === 0) return node;
      node = child;
    }
  }

  #copyKey(node: number, out: Uint8Array): Errno {
    const key = node + ENTRY.key;
    out.set(this.memory.u8.subarray(key, key + this.keySize));
    return 0;
  }
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createLpmTrie(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return withRegions(env.memory, (regions) => {
    const name = attr.name ? `map ${attr.name}` : `map of type ${attr.type}`;
    const root = regions.allocate(8, { kind: 'internal', name: `root of ${name}`, accessible: false });
    const { keySize, valueSize } = attr;
    const shape = {
      name,
      keySize,
      valueSize,
      slots: 1,
      slotStride: roundUp8(valueSize),
      links: false,
      writable: programsMayWrite(attr.flags),
    };
    // Every prefix can bring an intermediate node with it, and a replacement holds both nodes for an instant.
    const pool = new GrowingPool(regions, shape, attr.maxEntries * 2 + 1, env.cpus);
    return new LpmTrie(env, attr, typeId, regions, root.start, pool);
  });
}
