/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Section names of libbpf 1.8: tracepoints that may sleep, and trampolines of many functions at once. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int slept, entries, exits, both, in_module;

SEC("tp.s/syscalls/sys_enter_getpid") int tp(void *ctx) { slept |= 1; return 0; }
SEC("tracepoint.s/syscalls/sys_enter_getpid") int tracepoint(void *ctx) { slept |= 2; return 0; }
SEC("raw_tp.s/sys_enter") int raw(void *ctx) { slept |= 4; return 0; }
SEC("raw_tracepoint.s/sys_enter") int raw_tracepoint(void *ctx) { slept |= 8; return 0; }
SEC("tp_btf.s/sys_enter") int typed(void *ctx) { slept |= 16; return 0; }

SEC("fentry.multi/bpf_fentry_test*") int on_entry(void *ctx) { entries++; return 0; }
SEC("fexit.multi/bpf_fentry_test?") int on_exit(void *ctx) { exits++; return 0; }
SEC("fsession.multi/bpf_fentry_test1") int on_both(void *ctx) { both++; return 0; }
SEC("fentry.multi.s/bpf_fentry_test1") int entry_sleeps(void *ctx) { return 0; }
SEC("fexit.multi.s/bpf_fentry_test1") int exit_sleeps(void *ctx) { return 0; }
SEC("fsession.multi.s/bpf_fentry_test1") int both_sleep(void *ctx) { return 0; }
SEC("fentry.multi") int nowhere(void *ctx) { return 0; }
SEC("fentry.multi/no_such_function*") int misnamed(void *ctx) { return 0; }
SEC("?fentry.multi/no_such_module:x*") int of_module(void *ctx) { return 0; }

SEC("fentry/bpf_modify_return_test") int tested(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
