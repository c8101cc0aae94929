/** Layer rules of ARCHITECTURE.md: rank by folder; nothing imports upwards. */
const isaAndPrototypes = '^src/vm/(isa|prototypes)/';

/** What a folder may import besides itself and external packages. */
const layers = {
  base: [],
  packet: ['base'],
  maps: ['base'],
  vm: ['base', 'maps'],
  net: ['base', 'packet'],
  hooks: ['base', 'packet', 'maps', 'vm', 'loader', 'net'],
  nic: ['base', 'packet', 'net', 'hooks'],
};

const forbidden = Object.entries(layers).map(([folder, allowed]) => ({
  name: `layer-${folder}`,
  severity: 'error',
  comment: `src/${folder} may import only ${[folder, ...allowed].join(', ')}`,
  from: { path: `^src/${folder}/` },
  to: { path: '^src/', pathNot: `^src/(${[folder, ...allowed].join('|')})/` },
}));

module.exports = {
  forbidden: [
    ...forbidden,
    {
      name: 'layer-loader',
      severity: 'error',
      comment: 'src/loader may import base, maps, vm/isa and vm/prototypes',
      from: { path: '^src/loader/' },
      to: { path: '^src/', pathNot: ['^src/(loader|base|maps)/', isaAndPrototypes] },
    },
    {
      name: 'layer-verifier',
      severity: 'error',
      comment: 'src/verifier may import base, maps, loader, vm/isa and vm/prototypes; never an engine',
      from: { path: '^src/verifier/' },
      to: { path: '^src/', pathNot: ['^src/(verifier|base|maps|loader)/', isaAndPrototypes] },
    },
    {
      name: 'layer-cli',
      severity: 'error',
      comment: 'src/cli imports the public API only',
      from: { path: '^src/cli/' },
      to: { path: '^src/', pathNot: ['^src/cli/', '^src/index\\.ts$'] },
    },
    {
      name: 'layer-top',
      severity: 'error',
      comment: 'nothing below may import the composition root or the public API',
      from: { path: '^src/[^/]+/', pathNot: '^src/cli/' },
      to: { path: '^src/[^/]+\\.ts$' },
    },
    {
      name: 'engines-apart',
      severity: 'error',
      comment: 'the interpreter and the JIT do not know each other',
      from: { path: '^src/vm/interpreter' },
      to: { path: '^src/vm/jit/' },
    },
    {
      name: 'engines-apart-jit',
      severity: 'error',
      from: { path: '^src/vm/jit/' },
      to: { path: '^src/vm/interpreter' },
    },
    {
      name: 'hw-private',
      severity: 'error',
      comment: 'a NIC model (hw.ts) is imported by its own driver only',
      from: { path: '^src/nic/([^/]+)/' },
      to: { path: '^src/nic/[^/]+/hw\\.ts$', pathNot: '^src/nic/$1/' },
    },
    {
      name: 'no-node-in-core',
      severity: 'error',
      comment: 'the core runs in a browser: node:* only under cli/',
      from: { path: '^src/', pathNot: '^src/cli/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'no-cycle',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-orphan-file', severity: 'warn', from: { orphan: true, path: '^src/', pathNot: '\\.d\\.ts$' }, to: {} },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.json'] },
  },
};
