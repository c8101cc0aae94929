/**
 * Ones-complement sum of big-endian 16-bit words in `[start, end)`, not folded; an odd last byte is a high byte.
 * Exact for ranges up to 2^37 bytes.
 */
export function sumWords(bytes: Uint8Array, start: number, end: number, initial = 0): number {
  let sum = initial;
  let at = start;
  for (; at + 1 < end; at += 2) sum += (bytes[at]! << 8) | bytes[at + 1]!;
  if (at < end) sum += bytes[at]! << 8;
  return sum;
}

/** Adds the carries back in, to 16 bits. */
export function foldSum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return folded;
}

/** The Internet checksum (RFC 1071) of `[start, end)`: what goes into the field, when the field itself is zero. */
export function internetChecksum(bytes: Uint8Array, start = 0, end = bytes.length, initial = 0): number {
  return ~foldSum(sumWords(bytes, start, end, initial)) & 0xffff;
}

/** Is the sum over `[start, end)`, checksum field included, the all-ones value of an intact header? */
export function checksumHolds(bytes: Uint8Array, start = 0, end = bytes.length, initial = 0): boolean {
  return foldSum(sumWords(bytes, start, end, initial)) === 0xffff;
}

/**
 * Sum of the pseudo header of TCP, UDP and ICMPv6, to pass as `initial`.
 * @param source and `destination`: 4 bytes (IPv4) or 16 (IPv6), in network order.
 * @param length bytes of the upper-layer packet.
 */
export function pseudoHeaderSum(source: Uint8Array, destination: Uint8Array, protocol: number, length: number): number {
  const addresses = sumWords(destination, 0, destination.length, sumWords(source, 0, source.length));
  return addresses + protocol + Math.floor(length / 0x10000) + (length & 0xffff);
}

/**
 * RFC 1624, equation 3: the checksum after one 16-bit word changed from `before` to `after`.
 * HC' = ~(~HC + ~m + m')
 */
export function updateChecksum16(checksum: number, before: number, after: number): number {
  return ~foldSum((~checksum & 0xffff) + (~before & 0xffff) + (after & 0xffff)) & 0xffff;
}

/** The same for a 32-bit word. */
export function updateChecksum32(checksum: number, before: number, after: number): number {
  const high = updateChecksum16(checksum, before >>> 16, after >>> 16);
  return updateChecksum16(high, before & 0xffff, after & 0xffff);
}
