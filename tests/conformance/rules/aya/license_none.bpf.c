// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* An object without a license has the GPL. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

SEC("kprobe/do_exit") int one(void *ctx) { static const char text[] = "x"; return bpf_trace_printk(text, 2); }
