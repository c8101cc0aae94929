/** What a file descriptor can stand for; `kind` tells maps which of the objects that they were handed is of use. */
export interface FdObject {
  readonly kind: 'map' | 'prog' | 'perf_event' | 'btf' | 'socket' | 'cgroup';
}

/**
 * File descriptors of the lab's one user-space process: fd-holding maps (prog_array, maps of maps, perf_event_array)
 * are updated with descriptors, as in the kernel, and programs and maps get one when they are loaded.
 */
export class FdTable {
  #open = new Map<number, FdObject>();
  #next = 3;

  open(object: FdObject): number {
    const fd = this.#next++;
    this.#open.set(fd, object);
    return fd;
  }

  get(fd: number): FdObject | undefined {
    return this.#open.get(fd);
  }

  /** The lowest descriptor that stands for the object, or undefined. */
  find(object: FdObject): number | undefined {
    for (const [fd, other] of this.#open) if (other === object) return fd;
    return undefined;
  }

  close(fd: number): boolean {
    return this.#open.delete(fd);
  }
}
