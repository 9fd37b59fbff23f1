// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * struct pt_regs of the target, under the names that <bpf/bpf_tracing.h> uses outside of the kernel. The system's own
 * <asm/ptrace.h> will not do: it is the compiling machine's, and the longs of 32-bit targets are the BPF machine's there,
 * which have 8 bytes.
 *
 * Layouts: Linux arch/{x86/include/asm,arm64/include/uapi/asm,arm/include/asm,s390/include/asm,riscv/include/asm,
 * powerpc/include/asm}/ptrace.h. i386 passes arguments in eax, edx, ecx (-mregparm=3).
 */
#pragma once

#include <linux/types.h>

#if defined(__i386__)
struct pt_regs {
	__u32 ebx, ecx, edx, esi, edi, ebp, eax;
	__u32 xds, xes, xfs, xgs, orig_eax;
	__u32 eip, xcs, eflags, esp, xss;
};
#elif defined(__x86_64__)
struct pt_regs {
	__u64 r15, r14, r13, r12, rbp, rbx;
	__u64 r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	__u64 orig_rax, rip, cs, eflags, rsp, ss;
};
#elif defined(__aarch64__)
struct user_pt_regs {
	__u64 regs[31], sp, pc, pstate;
};
#elif defined(__arm__)
struct pt_regs {
	__u32 uregs[18];
};
#elif defined(__s390x__)
typedef struct {
	__u64 args[1];
	struct {
		__u64 mask, addr;
	} psw;
	__u64 gprs[16], orig_gpr2;
} user_pt_regs;
#elif defined(__riscv)
struct user_regs_struct {
	__u64 pc, ra, sp, gp, tp, t0, t1, t2, s0, s1, a0, a1, a2, a3, a4, a5, a6, a7;
	__u64 s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, t3, t4, t5, t6;
	__u64 status, badaddr, cause, orig_a0; /* the kernel's alone */
};
#elif defined(__powerpc64__)
struct pt_regs {
	__u64 gpr[32], nip, msr, orig_gpr3, ctr, link, xer, ccr, softe, trap, dar, dsisr, result;
};
#else
#error "no struct pt_regs for this target here"
#endif

#include <bpf/bpf_tracing.h>

/* Where the kernel keeps the first argument of a system call that a thread is in, given its registers. */
#if defined(__i386__)
#define EK_SYSCALL_ARGUMENT(regs) (&((struct pt_regs *)(regs))->ebx)
#elif defined(__x86_64__)
#define EK_SYSCALL_ARGUMENT(regs) (&((struct pt_regs *)(regs))->rdi)
#elif defined(__aarch64__)
#define EK_SYSCALL_ARGUMENT(regs) (&((struct user_pt_regs *)(regs))->regs[0])
#elif defined(__arm__)
#define EK_SYSCALL_ARGUMENT(regs) (&((struct pt_regs *)(regs))->uregs[0])
#elif defined(__s390x__)
#define EK_SYSCALL_ARGUMENT(regs) (&((user_pt_regs *)(regs))->orig_gpr2)
#elif defined(__riscv)
#define EK_SYSCALL_ARGUMENT(regs) (&((struct user_regs_struct *)(regs))->orig_a0)
#elif defined(__powerpc64__)
#define EK_SYSCALL_ARGUMENT(regs) (&((struct pt_regs *)(regs))->gpr[3])
#endif
