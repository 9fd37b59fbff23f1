// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Argument and result of getpgid(2), by the names of system calls, which the loader turns into the kernel's functions.
 *
 * Behind a wrapper (LINUX_HAS_SYSCALL_WRAPPER) the function's one argument points to the caller's registers. Their layout
 * is what user space sees: needs no relocation.
 */
#include <everykernel.h>
#include <registers.h>

extern _Bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;

ek_long argument, result;

SEC("ksyscall/getpgid")
int on_entry(struct pt_regs *ctx)
{
	struct pt_regs *regs = LINUX_HAS_SYSCALL_WRAPPER ? (void *)(long)PT_REGS_PARM1(ctx) : ctx;

	if (!EK_MINE())
		return 0;
	EK_ASSERT(bpf_probe_read_kernel(&argument, sizeof(argument), EK_SYSCALL_ARGUMENT(regs)) == 0);
	EK_HIT();
	return 0;
}

SEC("kretsyscall/getpgid")
int on_return(struct pt_regs *ctx)
{
	if (!EK_MINE())
		return 0;
	result = (ek_long)PT_REGS_RC(ctx);
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
