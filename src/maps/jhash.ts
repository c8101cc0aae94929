// hot: no allocation

/**
 * The kernel's jhash over `bytes` bytes that start at word `at` and are zero-padded to whole words; equals jhash2 for
 * lengths that are a multiple of four. Returns a signed 32-bit number.
 */
export function jhash(words: Int32Array, at: number, bytes: number, initval: number): number {
  // kernel: jhash(), jhash2()
  let a = (0xdeadbeef + bytes + initval) | 0;
  let b = a;
  let c = a;
  let left = bytes;
  let i = at;
  while (left > 12) {
    a = (a + words[i]!) | 0;
    b = (b + words[i + 1]!) | 0;
    c = (c + words[i + 2]!) | 0;
    a = (a - c) ^ ((c << 4) | (c >>> 28));
    c = (c + b) | 0;
    b = (b - a) ^ ((a << 6) | (a >>> 26));
    a = (a + c) | 0;
    c = (c - b) ^ ((b << 8) | (b >>> 24));
    b = (b + a) | 0;
    a = (a - c) ^ ((c << 16) | (c >>> 16));
    c = (c + b) | 0;
    b = (b - a) ^ ((a << 19) | (a >>> 13));
    a = (a + c) | 0;
    c = (c - b) ^ ((b << 4) | (b >>> 28));
    b = (b + a) | 0;
    i += 3;
    left -= 12;
  }
  if (left === 0) return c;
  a = (a + words[i]!) | 0;
  if (left > 4) b = (b + words[i + 1]!) | 0;
  if (left > 8) c = (c + words[i + 2]!) | 0;
  c = ((c ^ b) - ((b << 14) | (b >>> 18))) | 0;
  a = ((a ^ c) - ((c << 11) | (c >>> 21))) | 0;
  b = ((b ^ a) - ((a << 25) | (a >>> 7))) | 0;
  c = ((c ^ b) - ((b << 16) | (b >>> 16))) | 0;
  a = ((a ^ c) - ((c << 4) | (c >>> 28))) | 0;
  b = ((b ^ a) - ((a << 14) | (a >>> 18))) | 0;
  return ((c ^ b) - ((b << 24) | (b >>> 8))) | 0;
}
