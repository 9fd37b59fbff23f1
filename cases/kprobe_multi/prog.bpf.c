// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts how often functions are entered and left by the process under test. Needs no relocation. */
#include <everykernel.h>

__u64 entered, left, both;

SEC("kprobe.multi/" EK_SYSCALL("getres?id"))
int on_entry(void *ctx)
{
	if (EK_MINE())
		__sync_fetch_and_add(&entered, 1);
	return 0;
}

SEC("kretprobe.multi/" EK_SYSCALL("getpgid"))
int on_return(void *ctx)
{
	if (EK_MINE())
		__sync_fetch_and_add(&left, 1);
	return 0;
}

SEC("kprobe.session/" EK_SYSCALL("getpgid"))
int on_both(void *ctx)
{
	if (EK_MINE())
		__sync_fetch_and_add(&both, 1);
	return 0; /* and so it runs again at the return */
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
