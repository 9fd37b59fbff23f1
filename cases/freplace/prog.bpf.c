// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Two programs that call a global function each, and one that takes the place of such a function. No relocation. */
#include <everykernel.h>

__noinline int twice(int number)
{
	asm volatile("" : "+r"(number));
	return number * 2;
}

__noinline int thrice(int number)
{
	asm volatile("" : "+r"(number));
	return number * 3;
}

int number; /* set by the check */

SEC("socket")
int doubles(struct __sk_buff *skb)
{
	return twice(number);
}

SEC("socket")
int triples(struct __sk_buff *skb)
{
	return thrice(number);
}

SEC("freplace/twice")
int squares(int number)
{
	EK_HIT();
	return number * number;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
