/** The 40-byte key of Microsoft's RSS specification, the default of many drivers; its test vectors use it. */
export const MICROSOFT_RSS_KEY = Uint8Array.of(
  ...[0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0],
  ...[0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c],
  ...[0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa],
);

/**
 * The Toeplitz hash of RSS: for each set bit of the input (most significant first), xor in the 32 bits of the key that
 * start at that bit. The key must be at least 4 bytes longer than the input; missing bytes count as zero.
 */
export function toeplitz(key: Uint8Array, input: Uint8Array): number {
  let hash = 0;
  let window = ((key[0]! << 24) | (key[1]! << 16) | (key[2]! << 8) | key[3]!) >>> 0;
  for (let i = 0; i < input.length; i++) {
    const byte = input[i]!;
    const incoming = key[i + 4] ?? 0;
    for (let bit = 7; bit >= 0; bit--) {
      if ((byte >> bit) & 1) hash ^= window;
      window = (window << 1) | ((incoming >> bit) & 1);
    }
  }
  return hash >>> 0;
}

/**
 * Input of the hash in the order of the specification: source address, destination address, then the ports (left out
 * for the 2-tuple).
 */
export function rssInput(source: Uint8Array, destination: Uint8Array, sport?: number, dport?: number): Uint8Array {
  const ports = sport === undefined || dport === undefined ? [] : [sport >> 8, sport & 0xff, dport >> 8, dport & 0xff];
  return Uint8Array.of(...source, ...destination, ...ports);
}
