// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts how often functions are entered, and one is left, by the process under test. Needs no relocation. */
#include <everykernel.h>

__u64 entered, left;

SEC("uprobe.multi/libc.so.6:get?gid")
int on_entry(void *ctx)
{
	if (EK_MINE())
		__sync_fetch_and_add(&entered, 1);
	return 0;
}

SEC("uretprobe.multi/libc.so.6:labs")
int on_return(void *ctx)
{
	if (EK_MINE())
		__sync_fetch_and_add(&left, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
