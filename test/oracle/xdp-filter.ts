import { bytes } from './object-scenarios.ts';
import type { SubjectObject } from './subject.ts';

/** xdp-filter's flags in the low bits of a value; the counter stands above bit 6. */
const SRC = 1;
const DST = 2;
const TCP = 4;
const UDP = 8;

/**
 * Fills the maps of an xdp-filter object, as `xdp-filter port|ip|ether` would, with what some of the packets have: every
 * third one is matched by its source or destination, the others are not.
 */
export function fillFilter(object: SubjectObject, packets: readonly Uint8Array[]): void {
  const put = (map: string, key: Uint8Array, flags: number) => {
    if (object.maps.includes(map)) object.update(map, key, bytes([8, flags]));
  };
  packets.forEach((packet, i) => {
    if (i % 3 !== 0 || packet.length < 54) return;
    const side = i % 2 === 0 ? SRC : DST;
    put('filter_ethernet', packet.slice(side === SRC ? 6 : 0, side === SRC ? 12 : 6), side);
    const etherType = (packet[12]! << 8) | packet[13]!;
    if (etherType === 0x0800) {
      put('filter_ipv4', packet.slice(side === SRC ? 26 : 30, side === SRC ? 30 : 34), side);
      const port = packet.slice(side === SRC ? 34 : 36, side === SRC ? 36 : 38);
      put('filter_ports', bytes([2, port[0]! | (port[1]! << 8)], [2, 0]), side | TCP | UDP);
    }
    if (etherType === 0x86dd) put('filter_ipv6', packet.slice(side === SRC ? 22 : 38, side === SRC ? 38 : 54), side);
  });
}
