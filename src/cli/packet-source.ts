import { existsSync } from 'node:fs';
import type { CapturedPacket } from '../index.ts';
import { UsageError } from './exit-codes.ts';
import type { Io } from './io.ts';
import { parseHex, readBytes, streamFile } from './read-input.ts';

type Api = typeof import('../index.ts');

/** LINKTYPE_ETHERNET */
const ETHERNET = 1;

/** From # to the end of a line of hex. */
const COMMENT = /#.*$/gm;

/** Where packets come from: a capture, bytes as hex, or a raw file. */
export interface PacketSource {
  /** Packets in batches; may throw a CaptureError behind the good ones. */
  readonly batches: AsyncIterable<readonly CapturedPacket[]>;
}

/**
 * Finds out what `--in` means: a file (capture, or lines of hex), `-`, or hex bytes. Without it, standard input, if that
 * is not a terminal.
 */
export function openPackets(api: Api, input: string | undefined, io: Io): PacketSource {
  if (input === undefined && io.stdin.isTTY) {
    throw new UsageError(
      'no packets: standard input is a terminal',
      'give --in FILE.pcap, --in HEX, or pipe a capture in',
    );
  }
  const path = input ?? '-';
  const bytes = path !== '-' && !existsSync(path) ? parseHex(path) : undefined;
  if (bytes) return { batches: single(api, bytes) };
  if (path !== '-' && !existsSync(path)) {
    throw new UsageError(
      `--in ${path}: no such file, nor bytes in hex`,
      'bytes look like ffffffffffff020000000001080045...',
    );
  }
  return { batches: fromStream(api, streamFile(path, io)) };
}

/** One packet of raw bytes, as bpftool's data_in takes it. */
export function openRawPacket(api: Api, path: string, io: Io): PacketSource {
  return {
    batches: (async function* () {
      yield* single(api, await readBytes(path, io));
    })(),
  };
}

async function* single(api: Api, bytes: Uint8Array): AsyncGenerator<readonly CapturedPacket[]> {
  yield [packetOf(api, bytes, 1)];
}

function packetOf(api: Api, bytes: Uint8Array, number: number): CapturedPacket {
  return new api.CapturedPacket(number, 0, 0, 0, bytes, bytes.length, 0, ETHERNET);
}

/** A capture, or text with a packet in hex per line; the first bytes tell which. */
async function* fromStream(api: Api, source: AsyncGenerator<Uint8Array>): AsyncGenerator<readonly CapturedPacket[]> {
  const first = await source.next();
  const start = first.done ? new Uint8Array(0) : first.value;
  async function* all(): AsyncGenerator<Uint8Array> {
    if (start.length) yield start;
    yield* source;
  }
  if (looksLikeHex(start)) yield* hexLines(api, all());
  else yield* api.readCapture(all());
}

function looksLikeHex(bytes: Uint8Array): boolean {
  const text = new TextDecoder('latin1').decode(bytes.subarray(0, 1024)).replace(COMMENT, '').slice(0, 64);
  return text.length >= 2 && /^[0-9a-fA-Fx:\s]*$/.test(text) && /^\s*[0-9a-fA-F]/.test(text);
}

async function* hexLines(api: Api, source: AsyncIterable<Uint8Array>): AsyncGenerator<readonly CapturedPacket[]> {
  let rest = '';
  let lines = 0;
  let number = 0;
  const decode = (text: string): CapturedPacket[] => {
    lines++;
    const line = text.replace(COMMENT, '');
    if (line.trim() === '') return [];
    const bytes = parseHex(line);
    if (!bytes) throw new UsageError(`line ${lines} of the input is neither a capture nor bytes in hex`);
    return [packetOf(api, bytes, ++number)];
  };
  for await (const chunk of source) {
    const text = rest + Buffer.from(chunk).toString('latin1');
    const end = text.lastIndexOf('\n') + 1;
    rest = text.slice(end);
    const packets = text.slice(0, end).split('\n').slice(0, -1).flatMap(decode);
    if (packets.length) yield packets;
  }
  if (rest) yield decode(rest);
}
