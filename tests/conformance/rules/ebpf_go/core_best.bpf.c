// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A size and a field of types that the kernel lacks, guarded and not; a field in one of several types of a name. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct no_such_thing { int a; };
struct irq_info { short type; };
enum no_such_values { NO_SUCH_VALUE = 1 };
#pragma clang attribute pop

SEC("raw_tp/sys_enter") int sizes(void *ctx) { return bpf_core_type_size(struct no_such_thing); }
SEC("raw_tp/sys_enter") int guarded(void *ctx)
{
	if (bpf_core_type_exists(struct no_such_thing))
		return bpf_core_type_size(struct no_such_thing);
	return 0;
}
SEC("raw_tp/sys_enter") int wide(void *ctx)
{
	return bpf_core_enum_value(enum no_such_values, NO_SUCH_VALUE);
}
SEC("raw_tp/sys_enter") int scored(void *ctx)
{
	struct irq_info *info = (void *)bpf_get_current_task();
	short type = 0;
	bpf_core_read(&type, sizeof(type), &info->type);
	return type;
}

char LICENSE[] SEC("license") = "GPL";
