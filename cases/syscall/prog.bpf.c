// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A program that makes system calls: an array map of as many entries as its context says. Needs no relocation. */
#include <everykernel.h>

struct context {
	__u32 max_entries;
	__s32 fd;
};

SEC("syscall")
int make_map(struct context *ctx)
{
	union bpf_attr attributes = {};

	attributes.map_type = BPF_MAP_TYPE_ARRAY;
	attributes.key_size = 4;
	attributes.value_size = 16;
	attributes.max_entries = ctx->max_entries;
	ctx->fd = bpf_sys_bpf(BPF_MAP_CREATE, &attributes, sizeof(attributes));
	EK_HIT();
	return ctx->fd < 0 ? 1 : 0;
}

SEC("syscall")
int close_map(struct context *ctx)
{
	EK_HIT();
	return bpf_sys_close(ctx->fd) ? 1 : 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
