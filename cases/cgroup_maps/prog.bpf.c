// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts what leaves a cgroup, in storage of the cgroup, of each processor and of each socket. Needs no relocation. */
#include <everykernel.h>

/* Keys are inode numbers: struct bpf_cgroup_storage_key has 16 bytes here and 12 in a 32-bit kernel, which refuses it. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, __u64);
} of_cgroup SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, __u64);
} of_processors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} of_socket SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} cgroups SEC(".maps");

__u64 bytes; /* of all packets */
__s64 under[2];

SEC("cgroup_skb/egress")
int on_packet(struct __sk_buff *skb)
{
	__u64 *one = bpf_get_local_storage(&of_cgroup, 0), *many = bpf_get_local_storage(&of_processors, 0), *own;
	struct bpf_sock *sk = skb->sk;

	__sync_fetch_and_add(one, 1);
	*many += 1;
	__sync_fetch_and_add(&bytes, skb->len);
	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	own = sk ? bpf_sk_storage_get(&of_socket, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE) : NULL;
	if (own)
		*own += 1;
	return 1;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_call(struct ek_sys_enter *ctx)
{
	if (!EK_MINE())
		return 0;
	EK_HIT();
	under[0] = bpf_current_task_under_cgroup(&cgroups, 0);
	under[1] = bpf_current_task_under_cgroup(&cgroups, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
