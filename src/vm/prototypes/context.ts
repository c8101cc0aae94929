/** One field of a context struct as programs see it. */
export interface ContextField {
  readonly name: string;
  /** Byte offset in the UAPI struct. */
  readonly offset: number;
  /** Bytes of one element. */
  readonly size: 1 | 4 | 8;
  /** Number of elements; default 1. */
  readonly count?: number;
}

/** A context struct (`struct xdp_md`, `struct __sk_buff`), which the lab keeps in linear memory just as it is. */
export interface ContextLayout {
  readonly name: string;
  readonly size: number;
  readonly fields: readonly ContextField[];
}

/** The field of that name. @throws nothing: undefined when the struct has none. */
export function contextField(layout: ContextLayout, name: string): ContextField | undefined {
  return layout.fields.find((field) => field.name === name);
}
