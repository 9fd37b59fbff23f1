// SPDX-License-Identifier: GPL-2.0
/* Maps that user space fills and reads, many elements at a time. */
#include <everykernel.h>

char LICENSE[] SEC("license") = "GPL";

#define MAP(name, kind)                                                                                                \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_##kind);                                                                     \
		__uint(max_entries, 1200);                                                                             \
		__type(key, int);                                                                                      \
		__type(value, long);                                                                                   \
	} name SEC(".maps")

MAP(hash, HASH);
MAP(percpu_hash, PERCPU_HASH);
MAP(array, ARRAY);
MAP(percpu_array, PERCPU_ARRAY);
