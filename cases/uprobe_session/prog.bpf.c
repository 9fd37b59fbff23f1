// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Sessions: a program runs at a function's entry, and at its return too where it said 0 before. No relocation. */
#include <everykernel.h>

__u64 both, entries;

SEC("uprobe.session/libc.so.6:labs")
int on_both(void *ctx)
{
	if (EK_MINE())
		__sync_fetch_and_add(&both, 1);
	return 0;
}

SEC("uprobe.session/libc.so.6:labs")
int on_entry(void *ctx)
{
	if (EK_MINE())
		__sync_fetch_and_add(&entries, 1);
	return 1; /* not at the return */
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
