// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What every case includes first: BPF's own types, helpers, and the way in which a program tells that something is wrong.
 *
 * The harness reads ek_failed_line after the run and reports "cases/<name>/prog.bpf.c:<line>: assertion failed".
 */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

int ek_failed_line; /* line of the first EK_ASSERT that failed, 0 while all hold */
__u64 ek_hits;      /* how often EK_HIT() was reached */
__s32 ek_pid;       /* the process whose doings count; a case's check sets it, 0: nobody's */

#define EK_ASSERT(condition)                                                                                           \
	do {                                                                                                           \
		if (!(condition) && !ek_failed_line)                                                                   \
			ek_failed_line = __LINE__;                                                                     \
	} while (0)

/* What must not be reached was. */
#define EK_FAIL() EK_ASSERT(0)

#define EK_HIT() ((void)__sync_fetch_and_add(&ek_hits, 1))

/* Is the current task a thread of the process that the check runs in? */
#define EK_MINE() (ek_pid && (__s32)(bpf_get_current_pid_tgid() >> 32) == ek_pid)

/* The kernel's long: 4 bytes on the 32-bit targets, whatever the BPF machine's own is. */
#if defined(__i386__) || defined(__arm__)
typedef __s32 ek_long;
typedef __u32 ek_ulong;
#else
typedef __s64 ek_long;
typedef __u64 ek_ulong;
#endif

/* The function of a system call in the kernel, by its name (CONFIG_ARCH_HAS_SYSCALL_WRAPPER and its prefixes). */
#if defined(__x86_64__)
#define EK_SYSCALL(name) "__x64_sys_" name
#elif defined(__i386__)
#define EK_SYSCALL(name) "__ia32_sys_" name
#elif defined(__aarch64__)
#define EK_SYSCALL(name) "__arm64_sys_" name
#elif defined(__s390x__)
#define EK_SYSCALL(name) "__s390x_sys_" name
#elif defined(__riscv)
#define EK_SYSCALL(name) "__riscv_sys_" name
#else
#define EK_SYSCALL(name) "sys_" name
#endif

/*
 * The context of the tracepoints syscalls:sys_enter_*, struct syscall_tp_t of perf_call_bpf_enter() in Linux
 * kernel/trace/trace_syscalls.c: eight bytes, then longs.
 */
struct ek_sys_enter {
	__u64 entry;
	ek_long nr;
	ek_ulong args[6];
};
