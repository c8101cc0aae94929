// hot: no allocation
import type { RegionSet } from './arena.ts';
import type { EntryChunk } from './entry-pool.ts';
import { ENTRY, LRU_REF } from './layout.ts';

/** kernel: LOCAL_FREE_TARGET and LOCAL_NR_SCANS */
const COMMON_TARGET_MAX = 128;
const COMMON_SCANS = 128;
/** kernel: PERCPU_FREE_TARGET and PERCPU_NR_SCANS */
const PERCPU_TARGET = 4;
const PERCPU_SCANS = 4;

/**
 * State word of a node: which list it is on, whose CPU's, and the reference bit.
 *
 * ```
 *  31      16 15     8 7    4      0
 * |          |  cpu   | list | ... |ref|
 * ```
 */
const ACTIVE = 1 << 4;
const INACTIVE = 2 << 4;
const FREE = 3 << 4;
const LOCAL_FREE = 4 << 4;
const LOCAL_PENDING = 5 << 4;
const LIST_MASK = 0xf0;
const CPU_SHIFT = 8;

const NEXT = ENTRY.lruNext >> 2;
const PREV = ENTRY.lruPrev >> 2;
const STATE = ENTRY.state >> 2;
const SENTINEL_SIZE = 16;

/** Addresses of list heads, laid out like the links of an entry. */
class Sentinels {
  readonly #words: Int32Array;
  #at: number;

  constructor(regions: RegionSet, count: number) {
    const region = regions.allocate(count * SENTINEL_SIZE, { kind: 'internal', name: 'LRU lists', accessible: false });
    this.#words = regions.memory.i32;
    this.#at = region.start + 8;
  }

  take(): number {
    const head = this.#at;
    this.#at += SENTINEL_SIZE;
    this.#words[(head >> 2) + NEXT] = head;
    this.#words[(head >> 2) + PREV] = head;
    return head;
  }
}

/** Active, inactive and free list of one set; kernel: struct bpf_lru_list. */
interface LruSet {
  readonly active: number;
  readonly inactive: number;
  readonly free: number;
  activeCount: number;
  inactiveCount: number;
  /** kernel: next_inactive_rotation */
  rotation: number;
  /** Nodes that were never used, beneath the free list: `freshEnd - 1` is the next one. */
  freshStart: number;
  freshEnd: number;
}

/** kernel: struct bpf_lru_locallist */
interface LocalLists {
  readonly free: number;
  readonly pending: number;
  nextSteal: number;
}

/**
 * The two LRU algorithms of the kernel (kernel: bpf_lru_list.c) over the nodes of one chunk: one set of lists that all
 * CPUs share with local lists in front of it, or (BPF_F_NO_COMMON_LRU) a set for each CPU.
 */
export class LruLists {
  readonly #words: Int32Array;
  readonly #chunk: EntryChunk;
  readonly #evict: (entry: number) => void;
  readonly #sets: LruSet[];
  readonly #locals: LocalLists[];
  readonly #cpus: number;
  readonly #target: number;
  readonly #scans: number;

  /** @param evict takes an entry out of the hash */
  constructor(regions: RegionSet, chunk: EntryChunk, cpus: number, common: boolean, evict: (entry: number) => void) {
    this.#words = regions.memory.i32;
    this.#chunk = chunk;
    this.#evict = evict;
    this.#cpus = cpus;
    const sentinels = new Sentinels(regions, 3 * cpus + 2 * cpus);
    const nodes = common ? chunk.count : Math.floor(chunk.count / cpus);
    this.#sets = Array.from({ length: common ? 1 : cpus }, (_, i) => {
      const inactive = sentinels.take();
      return {
        active: sentinels.take(),
        inactive,
        free: sentinels.take(),
        activeCount: 0,
        inactiveCount: 0,
        rotation: inactive,
        freshStart: i * nodes,
        freshEnd: (i + 1) * nodes,
      };
    });
    this.#locals = Array.from({ length: common ? cpus : 0 }, (_, cpu) => ({
      free: sentinels.take(),
      pending: sentinels.take(),
      nextSteal: cpu,
    }));
    const share = Math.floor(Math.floor(chunk.count / cpus) / 2);
    this.#target = common ? Math.min(Math.max(share, 1), COMMON_TARGET_MAX) : PERCPU_TARGET;
    this.#scans = common ? COMMON_SCANS : PERCPU_SCANS;
  }

  /** A node for a new element, or 0 when none can be had; may evict others. kernel: bpf_lru_pop_free() */
  pop(cpu: number): number {
    return this.#locals.length > 0 ? this.#popCommon(cpu) : this.#popPercpu(cpu);
  }

  /** Gives a node back. kernel: bpf_lru_push_free() */
  push(node: number): void {
    const state = this.#words[(node >> 2) + STATE]!;
    const cpu = (state >> CPU_SHIFT) & 0xff;
    if ((state & LIST_MASK) === LOCAL_PENDING) {
      this.#words[(node >> 2) + STATE] = LOCAL_FREE | (cpu << CPU_SHIFT);
      this.#remove(node);
      this.#addHead(this.#locals[cpu]!.free, node);
      return;
    }
    const set = this.#locals.length > 0 ? this.#sets[0]! : this.#sets[cpu]!;
    this.#moveToFree(set, node, set.free, FREE);
  }

  /** kernel: bpf_lru_node_set_ref() */
  setRef(node: number): void {
    this.#words[(node >> 2) + STATE]! |= LRU_REF;
  }

  #popCommon(cpu: number): number {
    const local = this.#locals[cpu]!;
    let node = this.#first(local.free);
    if (node === 0) {
      this.#refill(local);
      node = this.#first(local.free);
    }
    if (node !== 0) {
      this.#remove(node);
      return this.#pend(local, node, cpu);
    }
    const start = local.nextSteal;
    let victim = start;
    do {
      const other = this.#locals[victim]!;
      node = this.#first(other.free);
      if (node !== 0) this.#remove(node);
      else node = this.#stealPending(other);
      victim = victim + 1 === this.#cpus ? 0 : victim + 1;
    } while (node === 0 && victim !== start);
    local.nextSteal = victim;
    return node === 0 ? 0 : this.#pend(local, node, cpu);
  }

  #pend(local: LocalLists, node: number, cpu: number): number {
    this.#words[(node >> 2) + STATE] = LOCAL_PENDING | (cpu << CPU_SHIFT);
    this.#addHead(local.pending, node);
    return node;
  }

  #stealPending(local: LocalLists): number {
    for (let force = 0; force < 2; force++) {
      for (let node = this.#prev(local.pending); node !== local.pending; node = this.#prev(node)) {
        if (force || !this.#referenced(node)) {
          this.#evict(node);
          this.#remove(node);
          return node;
        }
      }
    }
    return 0;
  }

  /** kernel: bpf_lru_list_pop_free_to_local() */
  #refill(local: LocalLists): void {
    const set = this.#sets[0]!;
    for (let node = this.#prev(local.pending); node !== local.pending; ) {
      const before = this.#prev(node);
      const to = this.#referenced(node) ? ACTIVE : INACTIVE;
      this.#count(set, to, 1);
      this.#place(set, node, to);
      node = before;
    }
    this.#rotate(set);
    let moved = 0;
    while (moved < this.#target) {
      const node = this.#takeFree(set);
      if (node === 0) break;
      this.#setList(node, LOCAL_FREE);
      this.#addHead(local.free, node);
      moved++;
    }
    if (moved < this.#target) this.#shrink(set, this.#target - moved, local.free, LOCAL_FREE);
  }

  #popPercpu(cpu: number): number {
    const set = this.#sets[cpu]!;
    this.#rotate(set);
    if (set.freshStart === set.freshEnd && this.#first(set.free) === 0) {
      this.#shrink(set, PERCPU_TARGET, set.free, FREE);
    }
    const node = this.#takeFree(set);
    if (node === 0) return 0;
    this.#words[(node >> 2) + STATE] = INACTIVE | (cpu << CPU_SHIFT);
    this.#count(set, INACTIVE, 1);
    this.#addHead(set.inactive, node);
    return node;
  }

  #takeFree(set: LruSet): number {
    const node = this.#first(set.free);
    if (node !== 0) {
      this.#remove(node);
      return node;
    }
    return set.freshEnd > set.freshStart ? this.#chunk.entry(--set.freshEnd) : 0;
  }

  #rotate(set: LruSet): void {
    if (set.inactiveCount < set.activeCount) this.#rotateActive(set);
    this.#rotateInactive(set);
  }

  #rotateActive(set: LruSet): void {
    const first = this.#next(set.active);
    let node = this.#prev(set.active);
    for (let scanned = 0; node !== set.active; ) {
      const before = this.#prev(node);
      this.#move(set, node, this.#referenced(node) ? ACTIVE : INACTIVE);
      if (++scanned === this.#scans || node === first) break;
      node = before;
    }
  }

  #rotateInactive(set: LruSet): void {
    const head = set.inactive;
    if (this.#next(head) === head) return;
    let last = this.#next(set.rotation);
    if (last === head) last = this.#next(last);
    let current = set.rotation;
    let next = head;
    for (let scanned = 0; scanned < this.#scans; ) {
      if (current === head) {
        current = this.#prev(current);
        continue;
      }
      next = this.#prev(current);
      if (this.#referenced(current)) this.#move(set, current, ACTIVE);
      if (current === last) break;
      current = next;
      scanned++;
    }
    set.rotation = next;
  }

  /** kernel: __bpf_lru_list_shrink() */
  #shrink(set: LruSet, wanted: number, to: number, list: number): void {
    let evicted = 0;
    let node = this.#prev(set.inactive);
    for (let scanned = 0; node !== set.inactive; ) {
      const before = this.#prev(node);
      if (this.#referenced(node)) this.#move(set, node, ACTIVE);
      else {
        this.#evict(node);
        this.#moveToFree(set, node, to, list);
        if (++evicted === wanted) break;
      }
      if (++scanned === this.#scans) break;
      node = before;
    }
    if (evicted > 0) return;
    const from = this.#next(set.inactive) === set.inactive ? set.active : set.inactive;
    const victim = this.#prev(from);
    if (victim === from) return;
    this.#evict(victim);
    this.#moveToFree(set, victim, to, list);
  }

  #referenced(node: number): boolean {
    return (this.#words[(node >> 2) + STATE]! & LRU_REF) !== 0;
  }

  #count(set: LruSet, list: number, by: number): void {
    if (list === ACTIVE) set.activeCount += by;
    else if (list === INACTIVE) set.inactiveCount += by;
  }

  /** Sets the list and clears the reference bit. */
  #setList(node: number, list: number): void {
    const at = (node >> 2) + STATE;
    this.#words[at] = (this.#words[at]! & ~(LIST_MASK | LRU_REF)) | list;
  }

  /** kernel: __bpf_lru_node_move() */
  #move(set: LruSet, node: number, to: number): void {
    const from = this.#words[(node >> 2) + STATE]! & LIST_MASK;
    this.#count(set, from, -1);
    this.#count(set, to, 1);
    this.#stepRotation(set, node);
    this.#place(set, node, to);
  }

  #place(set: LruSet, node: number, to: number): void {
    this.#setList(node, to);
    this.#remove(node);
    this.#addHead(to === ACTIVE ? set.active : set.inactive, node);
  }

  /** kernel: __bpf_lru_node_move_to_free() */
  #moveToFree(set: LruSet, node: number, to: number, list: number): void {
    this.#stepRotation(set, node);
    const at = (node >> 2) + STATE;
    this.#count(set, this.#words[at]! & LIST_MASK, -1);
    this.#words[at] = (this.#words[at]! & ~LIST_MASK) | list;
    this.#remove(node);
    this.#addHead(to, node);
  }

  #stepRotation(set: LruSet, node: number): void {
    if (set.rotation === node) set.rotation = this.#prev(node);
  }

  #next(node: number): number {
    return this.#words[(node >> 2) + NEXT]!;
  }

  #prev(node: number): number {
    return this.#words[(node >> 2) + PREV]!;
  }

  /** Head of a list, or 0. */
  #first(head: number): number {
    const node = this.#words[(head >> 2) + NEXT]!;
    return node === head ? 0 : node;
  }

  #remove(node: number): void {
    const words = this.#words;
    const next = words[(node >> 2) + NEXT]!;
    const prev = words[(node >> 2) + PREV]!;
    words[(prev >> 2) + NEXT] = next;
    words[(next >> 2) + PREV] = prev;
  }

  #addHead(head: number, node: number): void {
    const words = this.#words;
    const next = words[(head >> 2) + NEXT]!;
    words[(node >> 2) + NEXT] = next;
    words[(node >> 2) + PREV] = head;
    words[(next >> 2) + PREV] = node;
    words[(head >> 2) + NEXT] = node;
  }
}
