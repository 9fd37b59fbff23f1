// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Fields of kernel structs, read as wide as this kernel has them.
 *
 * BPF_CORE_READ() copies sizeof(field) bytes, by the BPF machine's count: 8 for a long or a pointer, on every target. In a
 * 32-bit kernel such a field has 4 bytes, and the next 4 are its neighbour's. Here the size is relocated too.
 */
#pragma once

#include <bpf/bpf_core_read.h>

/* EK_READ(task, mm, exe_file, f_inode): up to four steps through pointers; each may be a path (se.load.weight). */
#define EK_READ(source, ...)                                                                                           \
	EK_READ_PICK_(__VA_ARGS__, EK_READ_4_, EK_READ_3_, EK_READ_2_, EK_READ_1_)(source, __VA_ARGS__)

/* Where in eight bytes the lower ones are. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define EK_LOWER_(spare) ((spare) / 8)
#else
#define EK_LOWER_(spare) 0
#endif

#define EK_READ_PICK_(one, two, three, four, name, ...) name
#define EK_READ_4_(source, a, b, c, d)                  EK_READ_1_(EK_READ_3_(source, a, b, c), d)
#define EK_READ_3_(source, a, b, c)                     EK_READ_1_(EK_READ_2_(source, a, b), c)
#define EK_READ_2_(source, a, b)                        EK_READ_1_(EK_READ_1_(source, a), b)
#define EK_READ_1_(source, field)                                                                                      \
	({                                                                                                             \
		__auto_type from_ = (source);                                                                          \
		__u32 spare_ = 64 - 8 * bpf_core_field_size(from_->field);                                             \
		__u64 value_ = 0;                                                                                      \
                                                                                                                       \
		bpf_probe_read_kernel((void *)&value_ + EK_LOWER_(spare_), bpf_core_field_size(from_->field),          \
				      (const void *)&from_->field);                                            \
		if ((__typeof__(from_->field))-1 < (__typeof__(from_->field))1) /* signed */                           \
			value_ = (__s64)(value_ << spare_) >> spare_;                                                  \
		(__typeof__(from_->field))value_;                                                                      \
	})

/* An element of an array of pointers in the kernel's memory, NULL if it cannot be read. */
static __always_inline void *ek_pointer_at(const void *array, __u32 index)
{
	ek_ulong pointer = 0;

	bpf_probe_read_kernel(&pointer, sizeof(pointer), array + index * sizeof(pointer));
	return (void *)(unsigned long)pointer;
}
