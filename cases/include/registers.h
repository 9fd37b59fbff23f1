// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * struct pt_regs of the target, under the names that <bpf/bpf_tracing.h> uses outside of the kernel. The system's own
 * <asm/ptrace.h> will not do for i386: its longs are the BPF machine's, which has 8 bytes.
 *
 * Layouts: Linux arch/x86/include/asm/ptrace.h. i386 passes arguments in eax, edx, ecx (-mregparm=3).
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
#else
#error "no struct pt_regs for this target here"
#endif

#include <bpf/bpf_tracing.h>
