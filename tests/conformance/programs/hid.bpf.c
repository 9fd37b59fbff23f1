// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Programs for input devices: operations of the module hid, in kernels built with HID_BPF. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

enum hid_report_type { HID_INPUT_REPORT };
struct hid_bpf_ctx { unsigned int allocated_size; };

struct hid_bpf_ops {
	int hid_id;
	__u32 flags;
	int (*hid_device_event)(struct hid_bpf_ctx *ctx, enum hid_report_type report_type, __u64 source);
	int (*hid_rdesc_fixup)(struct hid_bpf_ctx *ctx);
};

extern __u8 *hid_bpf_get_data(struct hid_bpf_ctx *ctx, unsigned int offset, const unsigned long __sz) __ksym __weak;

SEC("struct_ops/hid_device_event")
int BPF_PROG(event, struct hid_bpf_ctx *hctx, enum hid_report_type type, __u64 source)
{
	__u8 *data = hid_bpf_get_data(hctx, 0, 4);

	if (data)
		data[1] = data[0];
	return 0;
}

SEC("struct_ops/hid_rdesc_fixup")
int BPF_PROG(past_the_end, struct hid_bpf_ctx *hctx)
{
	__u8 *data = hid_bpf_get_data(hctx, 0, 4);

	return data ? data[4] : 0;
}

SEC("tc")
int elsewhere(struct __sk_buff *skb)
{
	return hid_bpf_get_data((void *)skb, 0, 4) != NULL;
}

SEC(".struct_ops.link")
struct hid_bpf_ops events = { .hid_device_event = (void *)event };

SEC(".struct_ops.link")
struct hid_bpf_ops descriptors = { .hid_rdesc_fixup = (void *)past_the_end };

char LICENSE[] SEC("license") = "Dual MIT/GPL";
