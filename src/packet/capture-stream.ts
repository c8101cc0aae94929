import { asBytes, concat } from './bytes.ts';
import { type CapturedPacket, CaptureError } from './capture.ts';
import { CaptureReader } from './capture-reader.ts';

/** Pieces of a file in order: Uint8Arrays, or the Buffers of a Node stream. */
export type Chunks = AsyncIterable<ArrayBufferView> | Iterable<ArrayBufferView>;

/**
 * Reads a capture from a stream of chunks, in batches; unpacks gzip. At damage or at a cut end, the batches before it
 * come first, then the error is thrown.
 * @param reader give one to see its interfaces and counts, or to set limits.
 * @throws CaptureError
 */
export async function* readCapture(
  source: Chunks,
  reader: CaptureReader = new CaptureReader(),
  { gunzip: unpack = gunzip }: { gunzip?: (source: Chunks) => AsyncIterable<ArrayBufferView> } = {},
): AsyncGenerator<CapturedPacket[]> {
  const { head, rest } = await peek(source);
  const compressed = head[0] === 0x1f && head[1] === 0x8b;
  let offset = 0;
  try {
    for await (const chunk of compressed ? unpack(rest) : rest) {
      offset += chunk.byteLength;
      const packets = reader.push(chunk);
      if (packets.length) yield packets;
      if (reader.error) throw reader.error;
    }
  } catch (cause) {
    if (cause instanceof CaptureError || !compressed) throw cause;
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new CaptureError(reader.packets + 1, offset, `the gzip data around the capture is damaged or cut (${text})`);
  }
  reader.end();
  if (reader.error) throw reader.error;
}

/** The first two bytes (or fewer, if there are no more), and the source with nothing taken out. */
async function peek(source: Chunks): Promise<{ head: Uint8Array; rest: AsyncIterable<ArrayBufferView> }> {
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  let head: Uint8Array = new Uint8Array(0);
  while (head.length < 2) {
    const { value, done } = await iterator.next();
    if (done) break;
    head = concat([head, asBytes(value)]);
  }
  async function* all(): AsyncGenerator<ArrayBufferView> {
    try {
      if (head.length) yield head;
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  }
  return { head, rest: all() };
}

/** The part of the Compression Streams standard that is used here. */
interface ByteTransform {
  readonly readable: {
    getReader(): { read(): Promise<{ value?: Uint8Array; done: boolean }>; cancel(): Promise<void> };
  };
  readonly writable: {
    getWriter(): {
      write(chunk: ArrayBufferView): Promise<void>;
      close(): Promise<void>;
      abort(why: unknown): Promise<void>;
    };
  };
}

/** Unpacks gzip with the platform's DecompressionStream. */
export async function* gunzip(source: Chunks): AsyncGenerator<Uint8Array> {
  const { DecompressionStream } = globalThis as unknown as {
    DecompressionStream: new (format: 'gzip') => ByteTransform;
  };
  const { readable, writable } = new DecompressionStream('gzip');
  const reader = readable.getReader();
  const writer = writable.getWriter();
  let stopped = false;
  const pump = (async () => {
    try {
      for await (const chunk of source) {
        if (stopped) break;
        await writer.write(chunk);
      }
      await writer.close();
    } catch (error) {
      await writer.abort(error).catch(() => {});
    }
  })();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      yield value!;
    }
  } finally {
    stopped = true;
    await reader.cancel().catch(() => {});
    await pump;
  }
}
