// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The verifier takes the first program and neither of the others: the second decides. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("raw_tp/sys_enter") int first(void *ctx) { return 0; }
SEC("raw_tp/sys_exit") int second(void **ctx) { return *(int *)ctx[0]; }
SEC("xdp") int third(void *ctx) { return bpf_get_current_pid_tgid(); }

char _license[] SEC("license") = "GPL";
