// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts the page faults of the process under test. */
#include <everykernel.h>

SEC("perf_event")
int on_fault(void *ctx)
{
	if (EK_MINE())
		EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
