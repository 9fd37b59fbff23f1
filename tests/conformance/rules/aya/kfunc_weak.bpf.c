// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A weak one counts as missing, also where only its prototype differs. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

extern long bpf_rcu_read_lock(int none) __ksym __weak;
SEC("socket") int one(void *ctx) { return bpf_rcu_read_lock ? (int)bpf_rcu_read_lock(1) : 0; }

char _license[] SEC("license") = "GPL";
