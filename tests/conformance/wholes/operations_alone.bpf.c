// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A program of an operations struct that no struct holds. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("struct_ops") unsigned operation(unsigned long long *ctx) { return 2; }

char _license[] SEC("license") = "GPL";
