// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Probes that Debian's Python declares (--with-dtrace): a number before and after each garbage collection, and the text
 * that names an audit event, which a program that may sleep reads. Needs no relocation.
 */
#include <everykernel.h>
#include <registers.h>

#include <stdbool.h>

#include <bpf/usdt.bpf.h>

#define PYTHON "/usr/bin/python3:python:"

ek_long generation, collected;
int arguments;
char event[16];
char wanted[8]; /* set by the check: how the event begins that counts */

SEC("usdt/" PYTHON "gc__start")
int BPF_USDT(on_start, ek_long number)
{
	if (!EK_MINE())
		return 0;
	generation = number;
	arguments = bpf_usdt_arg_cnt(ctx);
	EK_HIT();
	return 0;
}

SEC("usdt/" PYTHON "gc__done")
int BPF_USDT(on_done, ek_long number)
{
	if (!EK_MINE())
		return 0;
	collected = number;
	EK_HIT();
	return 0;
}

SEC("usdt.s/" PYTHON "audit")
int BPF_USDT(on_audit, void *name)
{
	char text[sizeof(event)] = {};

	if (!EK_MINE())
		return 0;
	EK_ASSERT(bpf_copy_from_user(text, sizeof(text) - 1, name) == 0);
	if (*(__u64 *)text == *(__u64 *)wanted)
		__builtin_memcpy(event, text, sizeof(event));
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
