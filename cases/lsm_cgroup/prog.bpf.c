// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Forbids the processes of one cgroup to make sockets of one kind. Needs no relocation. */
#include <everykernel.h>

#include <bpf/bpf_tracing.h>

int forbidden_type; /* set by the check */

SEC("lsm_cgroup/socket_create")
int BPF_PROG(on_socket, int family, int type, int protocol, int kern)
{
	if (kern || !EK_MINE())
		return 1;
	EK_HIT();
	return type != forbidden_type; /* 0: not permitted */
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
