// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* An empty license is none that it takes. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int one(void *ctx) { return 2; }

char _license[] SEC("license") = "";
