// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The hotplug states of processors: an enum to which every release adds, so the numbers shift. The values below are
 * right for no kernel; what counts is what the relocations make of them.
 */
#include <everykernel.h>

#include <bpf/bpf_core_read.h>

enum cpuhp_state {
	CPUHP_BLK_MQ_DEAD = 1001,     /* 24 in Debian's 5.10, 26 in 6.1, 25 in 6.12 */
	CPUHP_PAGE_ALLOC_DEAD = 1002, /* in 5.10 only: */
	CPUHP_PAGE_ALLOC = 1003,      /* 6.1 and 6.12 have this instead */
	CPUHP_BIO_DEAD = 1004,        /* not yet in 5.10 */
	CPUHP_NO_SUCH_STATE = 1005,
	CPUHP_ONLINE = 1006,
};

#define STATE(name)                                                                                                    \
	do {                                                                                                           \
		name##_exists = bpf_core_enum_value_exists(enum cpuhp_state, name);                                    \
		if (bpf_core_enum_value_exists(enum cpuhp_state, name))                                                \
			name##_value = bpf_core_enum_value(enum cpuhp_state, name);                                    \
	} while (0)

#define VARIABLES(name) __u32 name##_exists, name##_value

VARIABLES(CPUHP_BLK_MQ_DEAD);
VARIABLES(CPUHP_PAGE_ALLOC_DEAD);
VARIABLES(CPUHP_PAGE_ALLOC);
VARIABLES(CPUHP_BIO_DEAD);
VARIABLES(CPUHP_NO_SUCH_STATE);
VARIABLES(CPUHP_ONLINE);

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(void *ctx)
{
	if (!EK_MINE())
		return 0;
	STATE(CPUHP_BLK_MQ_DEAD);
	STATE(CPUHP_PAGE_ALLOC_DEAD);
	STATE(CPUHP_PAGE_ALLOC);
	STATE(CPUHP_BIO_DEAD);
	STATE(CPUHP_NO_SUCH_STATE);
	STATE(CPUHP_ONLINE);
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
