// hot: per packet of a long capture nothing is allocated here unless its result is shown or written.
import type { CapturedPacket, ContextValues, LabMap, LabObject, LabProgram } from '../index.ts';
import type { Io } from './io.ts';
import type { PacketOutput } from './packet-output.ts';
import type { PacketSource } from './packet-source.ts';
import type { RunReport, RunSummary } from './run-report.ts';
import { counted, grouped } from './table.ts';
import type { Trace } from './trace.ts';
import { isGone, startsAtIp, verdictWord } from './verdict-text.ts';

type Api = typeof import('../index.ts');

const ETHERNET = 1;
/** Messages about faults and refused packets before only their number is told. */
const MESSAGES = 20;
/** Different return values and redirect targets that are told apart. */
const MAX_GROUPS = 1000;
/** Instructions after which Ctrl-C gets a chance. */
const BREATH = 20_000_000;
/** Runs on one packet that may take longer than a user waits; nothing stops them on the way. */
const MANY_RUNS = 100_000;
const NOTHING = new Uint8Array(0);

export interface RunSettings {
  readonly api: Api;
  readonly io: Io;
  readonly object: LabObject;
  readonly program: LabProgram;
  readonly report: RunReport;
  readonly output?: PacketOutput;
  readonly trace?: Trace;
  readonly ctx?: ContextValues;
  readonly repeat: number;
  readonly cpu: number;
  readonly limit: number;
  readonly stats: boolean;
  /** C type of the records of a ring buffer or perf event array, BTF id by map name. */
  readonly eventTypes: ReadonlyMap<string, number>;
}

/** Runs a program over packets, counts, and reports. */
export class PacketRun {
  /** Something went wrong on the way: faults, refused packets, a damaged capture. */
  failed = false;
  /** The last packet as the kernel's data_out has it. */
  lastData: Uint8Array = NOTHING;

  readonly #settings: RunSettings;
  readonly #type: string;
  readonly #eventMaps: readonly LabMap[];
  /** Packets by return value. */
  readonly #retvals = new Map<number, number>();
  readonly #redirects = new Map<string, number>();
  readonly #events = new Map<string, number>();
  /** Lines of trace_printk of the packet at hand. */
  #printed: { cpu: number; text: string }[] = [];
  #others = 0;
  #packets = 0;
  #faults = 0;
  #refused = 0;
  #messages = 0;
  #insns = 0;
  #most = 0;
  #least = Number.POSITIVE_INFINITY;
  #breath = 0;
  #current = 0;
  /** Time of the first packet, and of the clock then. */
  #origin: { seconds: number; nanos: number; clock: number } | undefined;
  #startedAt = 0;
  #progressAt = 0;

  constructor(settings: RunSettings) {
    this.#settings = settings;
    this.#type = settings.program.spec.type;
    this.#eventMaps = settings.object.maps.filter((map) => map.type === 'ringbuf' || map.type === 'perf_event_array');
    for (const map of this.#eventMaps) if (map.type === 'perf_event_array') map.openEvents();
    settings.object.lab.onTrace = ({ cpu, text }) => this.#printed.push({ cpu, text: text.replace(/\n$/, '') });
  }

  /** Takes all packets; gives the summary. A damaged capture is reported, and what was read counts. */
  async run(source: PacketSource): Promise<RunSummary> {
    const { api, io, limit, report, output, repeat } = this.#settings;
    if (repeat > MANY_RUNS) io.endAtInterrupt?.();
    this.#startedAt = io.now();
    try {
      batches: for await (const batch of source.batches) {
        for (const packet of batch) {
          if (this.#packets >= limit) break batches;
          this.#packet(packet);
          if (this.#insns - this.#breath > BREATH) {
            this.#breath = this.#insns;
            await new Promise((resolve) => setImmediate(resolve));
            if (io.signal.aborted) break batches;
          }
        }
        await report.settle();
        await output?.settle();
        this.#progress();
        if (io.signal.aborted) break;
      }
    } catch (error) {
      if (!(error instanceof api.CaptureError)) throw error;
      this.failed = true;
      io.stderr.write(`bpflab: ${error.message}\n`);
    }
    if (io.stderr.isTTY && this.#progressAt) io.stderr.write('\r\u001b[K');
    if (this.#messages > MESSAGES) {
      io.stderr.write(`bpflab: ... and ${grouped(this.#messages - MESSAGES)} more messages like these\n`);
    }
    return this.#summary();
  }

  #packet(packet: CapturedPacket): void {
    const { api, object, program, report, output, trace, ctx, repeat, cpu } = this.#settings;
    this.#packets++;
    this.#current = packet.number;
    this.#moveClock(packet);
    const { lab } = object;
    trace?.start();
    let retval: number;
    try {
      if (packet.linkType !== ETHERNET) {
        throw new api.PacketError(`link type ${packet.linkType} is not Ethernet`, {
          hint: 'programs see Ethernet frames',
        });
      }
      retval = program.runFast(packet.data, { ctx, repeat, cpu });
    } catch (error) {
      trace?.end();
      this.#problem(packet, error);
      return;
    }
    const insns = lab.engine.executed;
    this.#count(retval, insns);
    const verdict = api.verdictName(this.#type, retval);
    const redirect = verdict.endsWith('_REDIRECT') ? this.#target() : undefined;
    if (redirect !== undefined) {
      const times = this.#redirects.get(redirect);
      if (times !== undefined || this.#redirects.size < MAX_GROUPS) this.#redirects.set(redirect, (times ?? 0) + 1);
    }
    const shown = report.wantsPacket;
    if (shown || output) {
      trace?.end();
      const { data, meta } = this.#result(packet);
      const changes = sameBytes(packet.data, data) ? [] : api.diffPackets(packet.data, data);
      if (shown) {
        const lines = trace && { lines: trace.positions, trace: trace.lines };
        report.packet({ packet, verdict, retval, insns, data, meta, changes, redirect, ...lines });
      }
      const comments = changes.length ? [api.formatDiff(changes)] : [];
      if (redirect !== undefined) comments.push(`redirect to ${redirect}`);
      if (this.#type === 'socket_filter') comments.push(`verdict ${retval}`);
      const options = comments.length ? { comments } : {};
      output?.add({ packet, data, retval, options, gone: isGone(this.#type, verdict) });
    }
    this.#takeEvents();
  }

  /** The packet behind the run, and the metadata that it got. */
  #result(packet: CapturedPacket): { data: Uint8Array; meta: Uint8Array } {
    const { testRun } = this.#settings.object.lab;
    const raw = testRun.output();
    this.lastData = raw;
    const { metaLength } = testRun;
    const data = raw.subarray(metaLength);
    // The Ethernet header is not the program's to see; the packet keeps its own.
    if (startsAtIp(this.#type))
      data.set(packet.data.subarray(0, Math.min(this.#settings.api.ETH_HLEN, packet.data.length)));
    return { data, meta: raw.subarray(0, metaLength) };
  }

  /** Virtual time follows the capture's, so that timers and timestamps mean something. */
  #moveClock(packet: CapturedPacket): void {
    const { clock } = this.#settings.object.lab.machine;
    if (!this.#origin) {
      this.#origin = { seconds: packet.seconds, nanos: packet.nanos, clock: clock.now };
      return;
    }
    const { seconds, nanos, clock: start } = this.#origin;
    const at = start + (packet.seconds - seconds) * 1e9 + (packet.nanos - nanos);
    if (at > clock.now) clock.runUntil(at);
  }

  #count(retval: number, insns: number): void {
    const times = this.#retvals.get(retval);
    if (times !== undefined || this.#retvals.size < MAX_GROUPS) this.#retvals.set(retval, (times ?? 0) + 1);
    else this.#others++;
    this.#insns += insns;
    if (insns > this.#most) this.#most = insns;
    if (insns < this.#least) this.#least = insns;
  }

  #problem(packet: CapturedPacket, error: unknown): void {
    const { api, io, report, output, object, trace } = this.#settings;
    if (!(error instanceof api.BpfError) || error instanceof api.LoadError) throw error;
    this.failed = true;
    const fault = error instanceof api.FaultError;
    if (fault) this.#faults++;
    else this.#refused++;
    if (this.#messages++ < MESSAGES) io.stderr.write(`bpflab: packet ${packet.number}: ${error.message}\n`);
    const insns = fault ? object.lab.engine.executed : 0;
    const common = { packet, verdict: '', retval: 0, insns, data: packet.data, meta: NOTHING, changes: [] };
    if (report.wantsPacket) {
      const lines = trace && { lines: trace.positions, trace: trace.lines };
      report.packet({ ...common, ...(fault ? { fault: error.message } : { refused: error.message }), ...lines });
    }
    output?.add({ packet, data: packet.data, retval: 0, options: { comments: [error.message] }, gone: true });
    this.#takeEvents();
  }

  /** `tx_port[0]`, `ifindex 4`, and what a map's entry leads to. */
  #target(): string {
    const { object, cpu } = this.#settings;
    const { machine } = object.lab;
    const { map, index } = machine.cpuList[cpu]!.redirect;
    if (!map) return `ifindex ${index}`;
    const place = `${map.name}[${index}]`;
    const found = object.maps.find((candidate) => candidate.map === map);
    const key = new Uint8Array(new Uint32Array([index]).buffer);
    const value = found?.lookup(key);
    if (!value || value.length < 4) return place;
    const view = new DataView(value.buffer, value.byteOffset, value.length);
    const programId = value.length >= 8 ? view.getUint32(4, true) : 0;
    const next = programId ? `, program ${machine.programs.get(programId)?.name ?? programId}` : '';
    return map.type.startsWith('devmap') ? `ifindex ${view.getUint32(0, true)} via ${place}${next}` : `${place}${next}`;
  }

  #takeEvents(): void {
    if (this.#printed.length) {
      for (const { cpu, text } of this.#printed) this.#event('trace_printk', text, cpu);
      this.#printed = [];
    }
    for (const map of this.#eventMaps) {
      for (const { cpu, data, lost } of map.takeEvents()) {
        const { value, rest } = this.#decodeEvent(map, data);
        this.#event(map.name, value, cpu, lost, rest);
      }
    }
  }

  /** A record by its C type, and the bytes behind it (perf samples carry packets there). */
  #decodeEvent(map: LabMap, data: Uint8Array): { value: unknown; rest?: Uint8Array } {
    const { api, object, eventTypes } = this.#settings;
    const typeId = eventTypes.get(map.name) ?? 0;
    const { btf } = object.spec;
    const size = (typeId > 0 && btf?.size(typeId)) || 0;
    if (!btf || size === 0 || size > data.length || (map.type === 'ringbuf' && size !== data.length)) {
      return { value: data };
    }
    const value = api.decodeValue(btf, typeId, data, { present: true });
    return size === data.length ? { value } : { value, rest: data.subarray(size) };
  }

  #event(from: string, data: unknown, cpu?: number, lost?: number, rest?: Uint8Array): void {
    this.#events.set(from, (this.#events.get(from) ?? 0) + 1);
    this.#settings.report.event({ packet: this.#current, from, data, cpu, lost, rest });
  }

  #progress(): void {
    const { io } = this.#settings;
    if (!io.stderr.isTTY) return;
    const now = io.now();
    if (now - Math.max(this.#progressAt, this.#startedAt) < 500) return;
    this.#progressAt = now;
    const rate = Math.round(this.#packets / ((now - this.#startedAt) / 1000));
    io.stderr.write(`\r${counted(this.#packets, 'packet')}, ${grouped(rate)}/s`);
  }

  #summary(): RunSummary {
    const { api, io, program, stats, repeat } = this.#settings;
    const words = new Map<string, number>();
    for (const [retval, count] of this.#retvals) {
      const word = verdictWord(this.#type, api.verdictName(this.#type, retval));
      words.set(word, (words.get(word) ?? 0) + count);
    }
    if (this.#others) words.set('other', (words.get('other') ?? 0) + this.#others);
    const seconds = (io.now() - this.#startedAt) / 1000;
    const ran = this.#packets - this.#faults - this.#refused;
    return {
      program: program.name,
      packets: this.#packets,
      verdicts: byCount(words),
      redirects: byCount(this.#redirects),
      faults: this.#faults,
      refused: this.#refused,
      events: Object.fromEntries(this.#events),
      insns: this.#insns,
      ...(stats && {
        stats: {
          insns: this.#insns,
          'insns/packet': ran ? Math.round(this.#insns / ran) : 0,
          least: ran ? this.#least : 0,
          most: this.#most,
          'wall ms': Math.round(seconds * 1000),
          'ns/run': ran ? Math.round((seconds * 1e9) / (ran * repeat)) : 0,
          'packets/s': Math.round(this.#packets / seconds),
        },
      }),
      ...(io.signal.aborted && { interrupted: true as const }),
    };
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function byCount(counts: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...counts].sort((a, b) => b[1] - a[1]));
}
