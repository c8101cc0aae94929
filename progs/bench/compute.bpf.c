// Pure computation on one packet, for measuring engines: parsing, checksums, hashes, a cipher, sorting, calls. Each
// program has a form that runs once and one that runs a hundred times (see forms.h).
//
//   bpflab run progs/bench/compute.bpf.o -s siphash64 --in progs/bench/input.pcap
#include "forms.h"

BENCH(drop)
BENCH(parse5)
BENCH(stackcpy)
BENCH(ipcsum)
BENCH(csum1500)
BENCH(csum750)
BENCH(jhash16)
BENCH(jhash60)
BENCH(siphash64)
BENCH(fnv256)
BENCH(xorshift1k)
BENCH(chacha)
BENCH(isort16)
BENCH(bsort32)
BENCH(fwd)
BENCH(calls7)
BENCH(helper16)

char _license[] SEC("license") = "GPL";
