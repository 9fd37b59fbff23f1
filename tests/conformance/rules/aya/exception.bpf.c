// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A program that names the function which catches its exceptions, which nothing links to it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern void bpf_throw(__u64 cookie) __ksym;

__attribute__((noinline)) int caught(__u64 cookie)
{
	return 0;
}

SEC("classifier")
__attribute__((btf_decl_tag("exception_callback:caught")))
int throws(struct __sk_buff *ctx)
{
	if (ctx->len == 7)
		bpf_throw(1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
