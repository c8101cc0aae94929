/** The parts of elfy 1.0.0 that elf.ts reads; the package has no types of its own. */
declare module 'elfy' {
  interface ElfySection {
    name: string;
    type: string | number;
    flags: Record<string, boolean>;
    off: number;
    size: number;
    link: number;
    info: number;
    data: Uint8Array;
  }
  const elfy: {
    parse(bytes: Uint8Array): { class: string; endian: string; body: { sections: ElfySection[] } };
  };
  export = elfy;
}
