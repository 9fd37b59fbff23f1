// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Of externs, what is looked up in BTF fails before what is only missing: EINVAL, not ESRCH. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern const void no_such_symbol __ksym;
extern const int no_such_variable __ksym;

SEC("raw_tp/sys_enter") int first(void *ctx) { return (long)&no_such_symbol & 1; }
SEC("raw_tp/sys_exit") int second(void *ctx) { return no_such_variable; }

char _license[] SEC("license") = "GPL";
