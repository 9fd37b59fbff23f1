// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Count packets, and drop those of an odd length. Needs no relocation. */
#include <everykernel.h>

__u64 in, out, xmit, segment;

static __always_inline int judge(struct __sk_buff *skb, __u64 *count)
{
	__sync_fetch_and_add(count, 1);
	return skb->len & 1 ? BPF_DROP : BPF_OK;
}

SEC("lwt_in")
int on_input(struct __sk_buff *skb)
{
	return judge(skb, &in);
}

SEC("lwt_out")
int on_output(struct __sk_buff *skb)
{
	return judge(skb, &out);
}

SEC("lwt_xmit")
int on_xmit(struct __sk_buff *skb)
{
	return judge(skb, &xmit);
}

SEC("lwt_seg6local")
int on_segment(struct __sk_buff *skb)
{
	return judge(skb, &segment);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
