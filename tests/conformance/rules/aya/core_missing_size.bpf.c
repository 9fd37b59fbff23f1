// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The size of a type that is not there loses the object. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct no_such_thing___x { int member; } __attribute__((preserve_access_index));
SEC("socket") int one(void *ctx) { return bpf_core_type_size(struct no_such_thing___x); }
SEC("xdp") int two(void *ctx) { return 2; }

char _license[] SEC("license") = "GPL";
