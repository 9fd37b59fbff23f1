/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Variables of which each CPU has its own copy, which libbpf 1.8 takes and Linux 7.3 gives to programs. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct pair {
	int a;
	long b;
};

int plain = 3;
int count SEC(".percpu") = 7;
struct pair mine SEC(".percpu.mine") = { 1, 2 };

SEC("socket")
int counts(void *ctx)
{
	count++;
	plain++;
	return count;
}

SEC("socket")
int adds(void *ctx)
{
	mine.b += 40;
	return mine.b;
}

SEC("socket")
int beside(void *ctx)
{
	return plain;
}

char LICENSE[] SEC("license") = "GPL";
