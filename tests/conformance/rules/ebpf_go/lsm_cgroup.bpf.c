// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A security hook of a cgroup, which is found by BTF. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("lsm_cgroup/socket_bind") int hook(void *ctx) { return 1; }

char LICENSE[] SEC("license") = "GPL";
