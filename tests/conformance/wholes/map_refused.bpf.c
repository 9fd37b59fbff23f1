// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A map that no program uses and no kernel makes. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(key_size, 4); __uint(value_size, 4); __uint(max_entries, 1); } good SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(key_size, 8); __uint(value_size, 4); __uint(max_entries, 1); } bad SEC(".maps");

SEC("raw_tp/sys_enter") int first(void *ctx) { return 0; }
SEC("nothing/like/it") int second(void *ctx) { return 0; }

char _license[] SEC("license") = "GPL";
