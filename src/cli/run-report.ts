import type { CapturedPacket, PacketChange, PacketSummary } from '../index.ts';
import { type Io, painter, TextSink, wantsColour } from './io.ts';
import { hexText, toJson } from './json.ts';
import { contentsText, type MapContents, valueText } from './map-report.ts';
import { type Column, columnWidths, counted, formatRow, grouped } from './table.ts';
import { verdictText } from './verdict-text.ts';

type Api = typeof import('../index.ts');

/** What a program did with one packet. */
export interface PacketResult {
  readonly packet: CapturedPacket;
  readonly verdict: string;
  readonly retval: number;
  readonly insns: number;
  /** The packet afterwards, without metadata. */
  readonly data: Uint8Array;
  readonly meta: Uint8Array;
  readonly changes: readonly PacketChange[];
  /** `tx_port[0]` or `ifindex 4`. */
  readonly redirect?: string;
  /** The program faulted. */
  readonly fault?: string;
  /** The packet was refused before the program saw it. */
  readonly refused?: string;
  /** C positions that ran, when tracing. */
  readonly lines?: readonly string[];
  readonly trace?: readonly string[];
}

/** A record of a ring buffer or perf ring, or a line of trace_printk. */
export interface EventRecord {
  readonly packet: number;
  /** Map that it came from; `trace_printk` for text. */
  readonly from: string;
  readonly cpu?: number;
  readonly data: unknown;
  /** Bytes behind the typed part. */
  readonly rest?: Uint8Array;
  readonly lost?: number;
}

export interface RunSummary {
  readonly program: string;
  readonly packets: number;
  /** Packets by word: `drop`, `pass`; the most frequent first. */
  readonly verdicts: Readonly<Record<string, number>>;
  readonly redirects: Readonly<Record<string, number>>;
  readonly faults: number;
  readonly refused: number;
  readonly events: Readonly<Record<string, number>>;
  readonly insns: number;
  readonly stats?: Readonly<Record<string, number>>;
  readonly interrupted?: true;
}

export interface ReportOptions {
  readonly json: boolean;
  readonly pretty: boolean;
  /** Print the result of every packet. */
  readonly all: boolean;
  /** Print no packets. */
  readonly summary: boolean;
  readonly verbose: boolean;
  readonly programType: string;
}

/** Packets and events shown in text unless asked for all. */
const SHOWN = 20;

/** Bytes of an event that a line shows. */
const MAX_BYTES = 40;

const COLUMNS: readonly Column[] = [
  { title: '#', right: true },
  { title: 'in' },
  { title: 'verdict' },
  { title: 'insns', right: true },
  { title: 'out' },
];

/** Writes what `run` finds: a table or JSON lines. */
export class RunReport {
  readonly #api: Api;
  readonly #options: ReportOptions;
  readonly #sink: TextSink;
  readonly #paint: ReturnType<typeof painter>;
  #rows: { cells: string[]; trace: readonly string[] }[] = [];
  #widths: number[] | undefined;
  #shown = 0;
  #events: EventRecord[] = [];

  constructor(api: Api, io: Io, options: ReportOptions) {
    this.#api = api;
    this.#options = options;
    this.#sink = new TextSink(io.stdout);
    this.#paint = painter(wantsColour(io.stdout, io.env));
  }

  /** Will the next packet's result be printed? If not, it need not be worked out. */
  get wantsPacket(): boolean {
    const { json, all, summary } = this.#options;
    return !summary && (json || all || this.#shown < SHOWN);
  }

  packet(result: PacketResult): void {
    this.#shown++;
    if (this.#options.json) {
      this.#json(this.#packetJson(result));
      return;
    }
    const { packet, insns, trace } = result;
    const cells = [
      String(packet.number),
      this.#api.formatSummary(this.#summaryOf(packet)),
      this.#verdict(result),
      insns === 0 ? '-' : grouped(insns),
      this.#out(result),
    ];
    if (this.#widths) this.#row(cells, trace ?? []);
    else {
      this.#rows.push({ cells, trace: trace ?? [] });
      if (this.#rows.length === SHOWN) this.#head();
    }
  }

  event(event: EventRecord): void {
    if (this.#options.json) {
      if (this.#options.summary) return;
      const { packet, from, cpu, data, rest, lost } = event;
      this.#json({
        event: from,
        pkt: packet,
        ...(cpu !== undefined && { cpu }),
        ...(lost ? { lost } : { data, ...(rest && { rest }) }),
      });
    } else if (this.#options.all || this.#events.length < SHOWN) this.#events.push(event);
  }

  /** Waits while the reader is behind. */
  async settle(): Promise<void> {
    if (this.#widths || this.#options.json) this.#sink.flush();
    await this.#sink.settle();
  }

  finish(summary: RunSummary, maps: readonly MapContents[]): void {
    if (this.#options.json) {
      for (const contents of maps) this.#json(contents);
      this.#json({ summary });
    } else this.#finishText(summary, maps);
    this.#sink.flush();
  }

  #json(value: unknown): void {
    this.#sink.line(toJson(value, this.#options.pretty));
  }

  #summaryOf(packet: CapturedPacket): PacketSummary {
    return this.#api.summaryOf(this.#api.dissect(packet.data, { linkType: packet.linkType }));
  }

  #packetJson(result: PacketResult): unknown {
    const { packet, verdict, retval, insns, data, meta, changes, redirect, fault, refused, lines } = result;
    const at =
      packet.seconds || packet.nanos ? `${packet.seconds}.${String(packet.nanos).padStart(9, '0')}` : undefined;
    const ran = fault === undefined && refused === undefined;
    return {
      pkt: packet.number,
      ...(at && { time: at }),
      in: this.#summaryOf(packet),
      ...(ran && { verdict, retval, insns }),
      ...(fault !== undefined && { fault }),
      ...(refused !== undefined && { refused }),
      ...(redirect !== undefined && { redirect }),
      ...(ran && { out: { length: data.length, changes, ...(meta.length > 0 && { meta: hexText(meta) }) } }),
      ...(ran && this.#options.verbose && { data: hexText(data) }),
      ...(lines && { lines }),
    };
  }

  #verdict(result: PacketResult): string {
    if (result.fault !== undefined) return 'FAULT';
    if (result.refused !== undefined) return 'refused';
    return verdictText(this.#options.programType, result.verdict);
  }

  #out({ meta, changes, redirect, fault, refused }: PacketResult): string {
    if (fault !== undefined || refused !== undefined) return '-';
    const parts: string[] = [];
    if (redirect !== undefined) parts.push(`to ${redirect}`);
    if (meta.length) parts.push(`meta ${hexText(meta)}`);
    if (changes.length) parts.push(this.#api.formatDiff(changes));
    return parts.join(', ') || '-';
  }

  #head(): void {
    this.#widths = columnWidths(
      COLUMNS,
      this.#rows.map((row) => row.cells),
      60,
    );
    const titles = COLUMNS.map((column) => column.title);
    if (this.#rows.length) this.#sink.line(this.#paint('bold', formatRow(COLUMNS, this.#widths, titles)));
    for (const { cells, trace } of this.#rows) this.#row(cells, trace);
    this.#rows = [];
  }

  #row(cells: string[], trace: readonly string[]): void {
    if (trace.length) this.#sink.line(this.#paint('cyan', `packet ${cells[0]}`));
    for (const line of trace) this.#sink.line(line);
    const text = formatRow(COLUMNS, this.#widths!, cells);
    const bad = /^(FAULT|refused|XDP_ABORTED)/.test(cells[2]!);
    this.#sink.line(bad ? this.#paint('red', text) : text);
  }

  #finishText(summary: RunSummary, maps: readonly MapContents[]): void {
    if (!this.#widths) this.#head();
    const hidden = summary.packets - this.#shown;
    if (hidden > 0 && this.#shown > 0) {
      this.#sink.line(this.#paint('dim', `... ${counted(hidden, 'more packet')} (--all shows every one)`));
    }
    this.#sink.line(summaryText(summary));
    if (summary.stats) {
      const parts = Object.entries(summary.stats).map(([name, value]) => `${name} ${grouped(value)}`);
      this.#sink.line(`stats: ${parts.join(', ')}`);
    }
    if (this.#events.length) {
      this.#sink.line('events');
      for (const event of this.#events) this.#sink.line(`  ${eventText(event)}`);
      const total = Object.values(summary.events).reduce((sum, count) => sum + count, 0);
      if (total > this.#events.length) {
        this.#sink.line(`  ... ${grouped(total - this.#events.length)} more (--all shows every one)`);
      }
    }
    const contents = contentsText(maps);
    if (contents.length) {
      this.#sink.line('maps');
      for (const line of contents) this.#sink.line(line);
    }
  }
}

function eventText({ packet, from, cpu, data, rest, lost }: EventRecord): string {
  const where = cpu === undefined ? from : `${from} cpu ${cpu}`;
  return `#${packet}  ${where}  ${lost ? `${counted(lost, 'record')} lost` : `${eventData(data)}${rest ? ` + ${eventData(rest)}` : ''}`}`;
}

/** Bytes are cut where a line ends. */
function eventData(data: unknown): string {
  if (!(data instanceof Uint8Array) || data.length <= MAX_BYTES) return valueText(data);
  return `${valueText(data.subarray(0, MAX_BYTES))}.. ${data.length} bytes`;
}

/** `2 packets: 1 drop, 1 redirect (tx_port[0])` */
export function summaryText(summary: RunSummary): string {
  const parts = Object.entries(summary.verdicts).map(([word, count]) => {
    const text = `${grouped(count)} ${word}`;
    if (word !== 'redirect') return text;
    const targets = Object.entries(summary.redirects);
    const shown = targets
      .slice(0, 3)
      .map(([target, times]) => (targets.length > 1 ? `${grouped(times)} ${target}` : target));
    if (targets.length > 3) shown.push(`and ${targets.length - 3} more`);
    return shown.length ? `${text} (${shown.join(', ')})` : text;
  });
  if (summary.faults) parts.push(counted(summary.faults, 'fault'));
  if (summary.refused) parts.push(`${grouped(summary.refused)} refused`);
  const packets = counted(summary.packets, 'packet');
  return `${packets}${parts.length ? `: ${parts.join(', ')}` : ''}${summary.interrupted ? ' (interrupted)' : ''}`;
}
