// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A weak variable of another type counts as missing. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct task_struct { int pid; };
extern const struct task_struct bpf_prog_active __ksym __weak;
SEC("kprobe/do_exit") int one(void *ctx) { return &bpf_prog_active ? 1 : 0; }

char _license[] SEC("license") = "GPL";
