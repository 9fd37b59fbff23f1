// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* One probe at three places, each with its arguments elsewhere. Needs no relocation. */
#include <everykernel.h>
#include <registers.h>

#include <stdbool.h>

#include <bpf/usdt.bpf.h>

#define PLACES    4 /* one more than there are */
#define ARGUMENTS 5

struct place {
	long arguments[ARGUMENTS];
	long count;
} places[PLACES];

long missing = 1;
int missing_error;

SEC("usdt")
int on_probe(struct pt_regs *ctx)
{
	struct place *here;
	long number;
	int i;

	if (!EK_MINE() || bpf_usdt_arg(ctx, 0, &number))
		return 0;
	here = &places[number & (PLACES - 1)];
	here->count = bpf_usdt_arg_cnt(ctx);
	for (i = 0; i < ARGUMENTS; i++)
		EK_ASSERT(bpf_usdt_arg(ctx, i, &here->arguments[i]) == 0);
	missing_error = bpf_usdt_arg(ctx, ARGUMENTS, &missing);
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
