import type { Machine } from '../machine.ts';

/** State that a family of helpers keeps for each machine, made when it is first asked for. */
export class PerMachine<T> {
  #states = new WeakMap<Machine, T>();
  #make: (machine: Machine) => T;

  constructor(make: (machine: Machine) => T) {
    this.#make = make;
  }

  of(machine: Machine): T {
    let state = this.#states.get(machine);
    if (state === undefined) {
      state = this.#make(machine);
      this.#states.set(machine, state);
    }
    return state;
  }
}
