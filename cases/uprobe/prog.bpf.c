// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The argument and the result of labs(3), in the process under test. Needs no relocation. */
#include <everykernel.h>
#include <registers.h>

ek_long argument, result;

SEC("uprobe")
int on_entry(struct pt_regs *ctx)
{
	if (!EK_MINE())
		return 0;
#if defined(__i386__) /* user space passes arguments on the stack */
	EK_ASSERT(bpf_probe_read_user(&argument, sizeof(argument), (void *)(long)(PT_REGS_SP(ctx) + 4)) == 0);
#else
	argument = (ek_long)PT_REGS_PARM1(ctx);
#endif
	EK_HIT();
	return 0;
}

SEC("uretprobe/libc.so.6:labs")
int on_return(struct pt_regs *ctx)
{
	if (!EK_MINE())
		return 0;
	result = (ek_long)PT_REGS_RC(ctx);
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
