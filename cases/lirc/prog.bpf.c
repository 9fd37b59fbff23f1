// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts what an infrared receiver reports. */
#include <everykernel.h>

SEC("lirc_mode2")
int decode(unsigned int *sample)
{
	if (*sample)
		EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
