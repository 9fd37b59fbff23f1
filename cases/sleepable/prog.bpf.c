// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Programs that may sleep, of every kind that can. Each is given a page of a file that the process has mapped and not
 * touched: one that may not sleep cannot read it, bpf_copy_from_user() waits until it is there. Needs no relocation.
 *
 * Linux net/bpf/test_run.c calls bpf_fentry_test1(1), which says 2, in each test run of a tracing program.
 */
#include <everykernel.h>

#include <bpf/bpf_tracing.h>

enum { FENTRY, FEXIT, FMOD_RET, LSM, ITER, UPROBE, URETPROBE, UPROBE_MULTI, URETPROBE_MULTI, UPROBE_SESSION, KINDS };

__u64 pages[KINDS]; /* addresses, set by the check */
__u64 words[KINDS]; /* what was read there */
int argument, result;
int changed_result; /* set by the check; 0: none */

static __always_inline void fetch(int kind)
{
	void *page = (void *)(unsigned long)pages[kind];
	__u64 word = 0;

	if (!EK_MINE() || words[kind])
		return;
	EK_ASSERT(bpf_probe_read_user(&word, sizeof(word), page) != 0);
	EK_ASSERT(bpf_copy_from_user(&word, sizeof(word), page) == 0);
	words[kind] = word;
}

SEC("fentry.s/bpf_fentry_test1")
int BPF_PROG(on_fentry, int a)
{
	argument = a;
	fetch(FENTRY);
	return 0;
}

SEC("fexit.s/bpf_fentry_test1")
int BPF_PROG(on_fexit, int a, int ret)
{
	result = ret;
	fetch(FEXIT);
	return 0;
}

SEC("fmod_ret.s/bpf_fentry_test1")
int BPF_PROG(on_fmod_ret, int a, int ret)
{
	fetch(FMOD_RET);
	return changed_result;
}

SEC("fentry/bpf_fentry_test2")
int tested(void *ctx)
{
	return 0;
}

SEC("lsm.s/file_open")
int on_lsm(void *ctx)
{
	fetch(LSM);
	return 0;
}

SEC("iter.s/task")
int on_iter(void *ctx)
{
	fetch(ITER);
	return 0;
}

SEC("uprobe.s/libc.so.6:labs")
int on_uprobe(void *ctx)
{
	fetch(UPROBE);
	return 0;
}

SEC("uretprobe.s/libc.so.6:labs")
int on_uretprobe(void *ctx)
{
	fetch(URETPROBE);
	return 0;
}

SEC("uprobe.multi.s/libc.so.6:labs")
int on_uprobe_multi(void *ctx)
{
	fetch(UPROBE_MULTI);
	return 0;
}

SEC("uretprobe.multi.s/libc.so.6:labs")
int on_uretprobe_multi(void *ctx)
{
	fetch(URETPROBE_MULTI);
	return 0;
}

SEC("uprobe.session.s/libc.so.6:labs")
int on_uprobe_session(void *ctx)
{
	fetch(UPROBE_SESSION);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
