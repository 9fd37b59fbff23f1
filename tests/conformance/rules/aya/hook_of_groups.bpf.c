// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A security hook of control groups has its section. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

SEC("lsm_cgroup/socket_bind") int one(void *ctx) { return 1; }

char _license[] SEC("license") = "GPL";
