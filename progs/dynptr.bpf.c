// Dynptrs carry their size with them, so a length that is known only at run time is no trouble: a ring buffer record as
// long as the packet's head, and a log in a map value that is written through a dynptr over its memory.
//
//   bpflab run progs/dynptr.bpf.o --event heads=head --in capture.pcap
#include "packet.h"

#define LOG_BYTES 256

struct log {
  __u32 used;
  __u8 bytes[LOG_BYTES];
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct log);
} logs SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 64 * 1024);
} heads SEC(".maps");

struct head {
  __u32 length;
  __u32 header_bytes;
};

__u64 short_of_space;
struct head *head_type; // never used: it puts the type into the BTF, for whoever reads the records

SEC("xdp")
int dynptr(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data, *pos = data, *end = (void *)(long)ctx->data_end;
  __be16 proto = take_ethernet(&pos, end);
  struct head head = {.length = end - data, .header_bytes = pos - data};

  // a record of 8 bytes and the MAC header, 14 to 22 bytes: reserve wants a constant size, its dynptr form does not
  struct bpf_dynptr record;
  long err = bpf_ringbuf_reserve_dynptr(&heads, sizeof(head) + head.header_bytes, 0, &record);
  if (!err) err = bpf_dynptr_write(&record, 0, &head, sizeof(head), 0);
  __u8 *macs = bpf_dynptr_data(&record, sizeof(head), 2 * ETH_ALEN);
  if (!err && macs && data + 2 * ETH_ALEN <= end) {
    __builtin_memcpy(macs, data, 2 * ETH_ALEN);
    bpf_dynptr_write(&record, sizeof(head) + 2 * ETH_ALEN, &proto, sizeof(proto), 0);
    bpf_ringbuf_submit_dynptr(&record, 0);
  } else { // also where the reservation failed: every dynptr has to be given back
    bpf_ringbuf_discard_dynptr(&record, 0);
  }

  __u32 zero = 0;
  struct log *log = bpf_map_lookup_elem(&logs, &zero);
  if (!log) return XDP_ABORTED;
  struct bpf_dynptr memory;
  if (bpf_dynptr_from_mem(log->bytes, sizeof(log->bytes), 0, &memory)) return XDP_ABORTED;
  __u32 last = 0;
  if (log->used >= sizeof(last)) bpf_dynptr_read(&last, sizeof(last), &memory, log->used - sizeof(last), 0);
  if (last == head.length) return XDP_PASS; // the log holds changes of length only
  if (bpf_dynptr_write(&memory, log->used, &head.length, sizeof(head.length), 0))
    short_of_space++; // E2BIG: the dynptr knows its end
  else
    log->used += sizeof(head.length);
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
