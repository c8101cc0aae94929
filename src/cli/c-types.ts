import type { Btf, BtfType } from '../index.ts';

/** Structs inside of structs that are spelled out in place (they have no name). */
const MAX_NESTING = 8;

/** A C declaration: `__u32 port[2]`, `struct flow *next`, `int (*fn)()`. */
export function declare(btf: Btf, typeId: number, name = '', indent = '', depth = 0): string {
  const type = btf.type(typeId);
  const space = (text: string) => (name === '' ? text : `${text}${text.endsWith('*') ? '' : ' '}${name}`);
  switch (type.kind) {
    case 'array':
      return declare(btf, type.type, `${name}[${type.nelems}]`, indent, depth + 1).replace(/ \[/, ' [');
    case 'ptr': {
      const target = btf.type(type.type);
      if (target.kind === 'func_proto') return declare(btf, target.type, `(*${name})()`, indent, depth + 1);
      if (target.kind === 'array') return declare(btf, type.type, `(*${name})`, indent, depth + 1);
      return declare(btf, type.type, `*${name}`, indent, depth + 1);
    }
    case 'const':
    case 'volatile':
    case 'restrict': {
      const inner = btf.type(type.type);
      return inner.kind === 'ptr'
        ? declare(btf, type.type, `${type.kind}${name === '' ? '' : ` ${name}`}`, indent, depth + 1)
        : `${type.kind} ${declare(btf, type.type, name, indent, depth + 1)}`;
    }
    case 'type_tag':
      return declare(btf, type.type, name, indent, depth + 1);
    case 'struct':
    case 'union':
      if (type.name === '' && depth < MAX_NESTING) return space(`${type.kind} ${body(btf, type, indent, depth + 1)}`);
      return space(`${type.kind} ${type.name || '{ ... }'}`);
    case 'enum':
    case 'enum64':
      return space(type.name ? `enum ${type.name}` : 'enum { ... }');
    case 'fwd':
      return space(`${type.union ? 'union' : 'struct'} ${type.name}`);
    case 'void':
      return space('void');
    default:
      return space(type.name || type.kind);
  }
}

function body(btf: Btf, type: BtfType & { kind: 'struct' | 'union' }, indent: string, depth: number): string {
  const inner = `${indent}  `;
  const lines = type.members.map((member) => {
    const bits = member.bitSize > 0 ? `:${member.bitSize}` : '';
    return `${inner}${declare(btf, member.type, `${member.name}${bits}`, inner, depth)};\n`;
  });
  return `{\n${lines.join('')}${indent}}`;
}

/** A type in one line: `struct flow_key`, `__u32`, `__u8[16]`. */
export function typeText(btf: Btf, typeId: number): string {
  const text = declare(btf, typeId, '', '', MAX_NESTING);
  return text.replace(/ \[/g, '[');
}

/** Definitions of the named structs, unions and enums that the types hold by value, what is used first. */
export function definitions(btf: Btf, typeIds: Iterable<number>): string[] {
  const found = new Map<string, string>();
  const visited = new Set<number>();
  const visit = (id: number) => {
    if (id === 0 || visited.has(id)) return;
    visited.add(id);
    const type = btf.type(id);
    switch (type.kind) {
      case 'array':
      case 'typedef':
      case 'const':
      case 'volatile':
      case 'restrict':
      case 'type_tag':
        visit(type.type);
        return;
      case 'struct':
      case 'union':
        for (const member of type.members) visit(member.type);
        if (type.name) found.set(`${type.kind} ${type.name}`, `${type.kind} ${type.name} ${body(btf, type, '', 0)};`);
        return;
      case 'enum':
      case 'enum64': {
        if (!type.name) return;
        const values = type.values.map((row) => `${row.name} = ${row.value}`).join(', ');
        found.set(`enum ${type.name}`, `enum ${type.name} { ${values} };`);
        return;
      }
      default:
    }
  };
  for (const id of typeIds) visit(id);
  return [...found.values()];
}
