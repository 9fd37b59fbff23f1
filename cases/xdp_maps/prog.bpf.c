// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Frames of a protocol of our own say where they want to go; the programs in the maps count up a byte on the way. */
#include <everykernel.h>

#include <bpf/bpf_endian.h>

#define DEVICE	  'd'
#define PROCESSOR 'p'

__u32 egress_ifindex, processor;
__u64 arrived;

/* Ethernet (14 bytes), where to, what was done */
static __always_inline __u8 *payload(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	return data + 16 <= end && data[12] == 0x88 && data[13] == 0xb5 ? data + 14 : 0;
}

#define WITH(suffix, section)                                                                                          \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_DEVMAP);                                                                     \
		__uint(max_entries, 1);                                                                                \
		__type(key, __u32);                                                                                    \
		__type(value, struct bpf_devmap_val);                                                                  \
	} devices##suffix SEC(".maps");                                                                                \
                                                                                                                       \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_CPUMAP);                                                                     \
		__uint(max_entries, 2);                                                                                \
		__type(key, __u32);                                                                                    \
		__type(value, struct bpf_cpumap_val);                                                                  \
	} processors##suffix SEC(".maps");                                                                             \
                                                                                                                       \
	SEC(section)                                                                                                   \
	int lead##suffix(struct xdp_md *ctx)                                                                           \
	{                                                                                                              \
		__u8 *to = payload(ctx);                                                                               \
                                                                                                                       \
		if (to && *to == DEVICE)                                                                               \
			return bpf_redirect_map(&devices##suffix, 0, 0);                                               \
		if (to && *to == PROCESSOR)                                                                            \
			return bpf_redirect_map(&processors##suffix, 1, 0);                                            \
		return XDP_PASS;                                                                                       \
	}                                                                                                              \
                                                                                                                       \
	SEC(section "/devmap")                                                                                            \
	int on_device##suffix(struct xdp_md *ctx)                                                                      \
	{                                                                                                              \
		__u8 *to = payload(ctx);                                                                               \
                                                                                                                       \
		if (to)                                                                                                \
			to[1] += 1;                                                                                    \
		egress_ifindex = ctx->egress_ifindex;                                                                  \
		return XDP_PASS;                                                                                       \
	}                                                                                                              \
                                                                                                                       \
	SEC(section "/cpumap")                                                                                            \
	int on_processor##suffix(struct xdp_md *ctx)                                                                   \
	{                                                                                                              \
		__u8 *to = payload(ctx);                                                                               \
                                                                                                                       \
		if (to)                                                                                                \
			to[1] += 2;                                                                                    \
		processor = bpf_get_smp_processor_id();                                                                \
		return XDP_PASS;                                                                                       \
	}                                                                                                              \
                                                                                                                       \
	SEC(section)                                                                                                   \
	int arrive##suffix(struct xdp_md *ctx)                                                                         \
	{                                                                                                              \
		if (payload(ctx))                                                                                      \
			__sync_fetch_and_add(&arrived, 1);                                                             \
		return XDP_PASS;                                                                                       \
	}

WITH(, "xdp")
WITH(_frags, "xdp.frags")

char LICENSE[] SEC("license") = "Dual MIT/GPL";
