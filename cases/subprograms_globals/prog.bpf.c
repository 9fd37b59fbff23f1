// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Functions that stay functions, and variables in .rodata, .data and .bss. Needs no relocation. */
#include <everykernel.h>

const volatile __u32 table[4] = {3, 1, 4, 1}; /* .rodata */
const volatile char greeting[] = "hello";
__u32 seed = 7;                               /* .data */
__s16 negative = -2;
__u64 total;                                  /* .bss */
struct {
	__u32 calls;
	__u8 letters[5];
} inner;
static __u64 hidden; /* static: in the object without a symbol that others see */

/* static: the verifier follows calls into it */
static __noinline __u64 collatz_steps(__u32 value)
{
	__u64 steps = 0;
	int i;

	for (i = 0; i < 64 && value > 1; i++) {
		value = value % 2 ? 3 * value + 1 : value / 2;
		steps++;
	}
	return steps;
}

/* global: the verifier judges it by its own BTF signature */
__noinline int weighted(__u32 value, __u32 index)
{
	inner.calls++;
	if (index >= 4)
		return -1;
	return value * table[index & 3];
}

SEC("socket")
int calculate(struct __sk_buff *skb)
{
	__u32 i;

	total = 0;
	for (i = 0; i < 4; i++)
		total += weighted(seed, i);
	hidden = collatz_steps(seed);
	total += hidden + negative;
	for (i = 0; i < sizeof(inner.letters); i++)
		inner.letters[i] = greeting[i];
	return total;
}

/* a second program that calls the same functions */
SEC("socket")
int steps_only(struct __sk_buff *skb)
{
	return collatz_steps(seed);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
