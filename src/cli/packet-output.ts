import { closeSync, openSync, writeSync } from 'node:fs';
import type { CapturedPacket, PacketOptions } from '../index.ts';
import { UsageError } from './exit-codes.ts';
import type { Output } from './io.ts';
import { reasonOf } from './read-input.ts';

type Api = typeof import('../index.ts');

/** A packet as the program left it. */
export interface PacketOut {
  readonly packet: CapturedPacket;
  /** Without metadata. */
  readonly data: Uint8Array;
  readonly retval: number;
  readonly options: PacketOptions;
  /** The packet ends here: dropped, aborted, faulted. */
  readonly gone: boolean;
}

/** Who gives the verdict, by program type, for `epb_verdict`. */
const VERDICT_BY: Readonly<Record<string, 'xdp' | 'tc'>> = { xdp: 'xdp', sched_cls: 'tc', sched_act: 'tc' };

/**
 * `--out`: a pcapng file has every packet as the program left it, with its verdict; a pcap file, which has no place for
 * verdicts, only those that go on.
 */
export class PacketOutput {
  readonly #writer: InstanceType<Api['PcapngWriter']> | undefined;
  readonly #plain: InstanceType<Api['PcapWriter']> | undefined;
  readonly #write: (chunk: Uint8Array) => void;
  readonly #close: () => void;
  /** The stream that asks to wait. */
  #full: Output | undefined;
  readonly #by: 'xdp' | 'tc' | undefined;

  constructor(api: Api, path: string, program: { name: string; type: string }, version: string, stdout: Output) {
    if (path === '-') {
      // A copy: the writer goes on in the same buffer.
      this.#write = (chunk) => {
        if (!stdout.write(chunk.slice())) this.#full = stdout;
      };
      this.#close = () => {};
    } else {
      const fd = open(path);
      this.#write = (chunk) => {
        for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
      };
      this.#close = () => closeSync(fd);
    }
    this.#by = VERDICT_BY[program.type];
    if (/\.p?cap$/i.test(path)) this.#plain = new api.PcapWriter({ nanoseconds: true });
    else {
      this.#writer = new api.PcapngWriter({ application: `bpflab ${version}` });
      this.#writer.addInterface({ name: api.captureName('lo', program.name, 'exit') });
    }
  }

  add({ packet, data, retval, options, gone }: PacketOut): void {
    const { seconds, nanos } = packet;
    const originalLength = data.length + (packet.originalLength - packet.data.length);
    if (this.#plain) {
      if (!gone) this.#plain.write({ seconds, nanos, data, originalLength });
    } else {
      const verdicts = this.#by && [{ by: this.#by, value: this.#by === 'tc' ? retval | 0 : retval }];
      const all = { packetId: BigInt(packet.number), ...(verdicts && { verdicts }), ...options };
      this.#writer!.write({ seconds, nanos, data, originalLength, options: all });
    }
    for (const chunk of (this.#plain ?? this.#writer!).take()) this.#write(chunk);
  }

  /** Waits while the reader of standard output is behind. */
  async settle(): Promise<void> {
    const stream = this.#full;
    this.#full = undefined;
    if (stream) await new Promise<void>((resolve) => stream.once('drain', resolve));
  }

  finish(): void {
    for (const chunk of (this.#plain ?? this.#writer!).finish()) this.#write(chunk);
    this.#close();
  }
}

function open(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (error) {
    throw new UsageError(`--out ${path}: ${reasonOf(error)}`);
  }
}
