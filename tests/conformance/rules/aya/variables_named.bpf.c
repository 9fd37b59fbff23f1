// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A section of variables is told by how its name begins. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

int counted SEC(".datacount");
SEC("xdp") int one(void *ctx) { return __sync_fetch_and_add(&counted, 1) ? 2 : 1; }

char _license[] SEC("license") = "GPL";
