// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts datagram sockets, marks them, sees where they are bound, forbids one port. */
#include <everykernel.h>

#define SOCK_DGRAM 2

__u32 forbidden_port; /* set by the check */
__u64 made, also_made, released;
__u32 bound_port;

SEC("cgroup/sock_create")
int on_create(struct bpf_sock *sk)
{
	if (sk->type == SOCK_DGRAM) {
		sk->mark = 0xe4;
		__sync_fetch_and_add(&made, 1);
	}
	return 1;
}

SEC("cgroup/sock")
int also_on_create(struct bpf_sock *sk)
{
	if (sk->type == SOCK_DGRAM)
		__sync_fetch_and_add(&also_made, 1);
	return 1;
}

SEC("cgroup/post_bind4")
int on_bind(struct bpf_sock *sk)
{
	if (sk->type != SOCK_DGRAM)
		return 1;
	bound_port = sk->src_port;
	return sk->src_port != forbidden_port;
}

SEC("cgroup/sock_release")
int on_release(struct bpf_sock *sk)
{
	if (sk->type == SOCK_DGRAM)
		__sync_fetch_and_add(&released, 1);
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
