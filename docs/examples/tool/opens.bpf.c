// SPDX-License-Identifier: MIT OR GPL-2.0-only
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 watched; /* the process, set by user space before it loads */
__u64 opens;

SEC("tracepoint/syscalls/sys_enter_openat")
int on_openat(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == watched)
		__sync_fetch_and_add(&opens, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
