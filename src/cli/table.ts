/** How a table's column is written. */
export interface Column {
  readonly title: string;
  /** Numbers stand right. */
  readonly right?: boolean;
}

/** Widths that the rows need, titles included; a column wider than `max` does not widen the others' lines. */
export function columnWidths(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  max = Number.POSITIVE_INFINITY,
): number[] {
  return columns.map((column, i) => {
    let width = column.title.length;
    for (const row of rows) {
      const length = row[i]!.length;
      if (length <= max && length > width) width = length;
    }
    return width;
  });
}

/** One line of a table, without blanks at its end. */
export function formatRow(columns: readonly Column[], widths: readonly number[], row: readonly string[]): string {
  return row
    .map((cell, i) => (columns[i]!.right ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
    .join('  ')
    .trimEnd();
}

/** A table as lines, titles first, indented by `indent`. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { indent = '' }: { indent?: string } = {},
): string[] {
  const widths = columnWidths(columns, rows);
  const titles = columns.map((column) => column.title);
  const all = titles.some((title) => title !== '') ? [titles, ...rows] : rows;
  return all.map((row) => indent + formatRow(columns, widths, row));
}

/** `1,234,567` */
export function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `1 packet`, `2 packets` */
export function counted(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? '' : 's'}`;
}
