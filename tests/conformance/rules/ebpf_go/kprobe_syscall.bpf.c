// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A system call by its name in the kernel's source. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("kprobe/sys_execve") int called(void *ctx) { return 0; }
SEC("kretprobe/sys_execve") int returned(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
