/** Bytes as hex text, two digits per byte. */
export function hexText(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

/** bigint as a number where that is exact, else as decimal text; bytes as hex text. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  return value instanceof Uint8Array ? hexText(value) : value;
}

/** JSON text of a value; one line unless `pretty`. */
export function toJson(value: unknown, pretty = false): string {
  return JSON.stringify(value, plain, pretty ? 2 : undefined);
}
