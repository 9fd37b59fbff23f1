// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The first instruction of a function that is never reached cannot be relocated. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct no_such_thing { int a; };
#pragma clang attribute pop

__attribute__((noinline)) static int offset(struct no_such_thing *thing)
{
	return (long)__builtin_preserve_access_index(&thing->a);
}
SEC("raw_tp/sys_enter") int calls(void *ctx)
{
	if (bpf_core_type_exists(struct no_such_thing))
		return offset(0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
