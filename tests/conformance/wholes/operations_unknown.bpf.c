// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* An operations struct that no kernel takes. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct no_such_ops { unsigned (*operation)(void *sk); };

SEC("struct_ops") unsigned operation(unsigned long long *ctx) { return 2; }
SEC("raw_tp/sys_enter") int beside(void *ctx) { return 0; }

SEC(".struct_ops")
struct no_such_ops made = { .operation = (void *)operation };

char _license[] SEC("license") = "GPL";
