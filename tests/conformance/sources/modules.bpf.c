// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Types that only modules have: in one module, in several that agree, in several that contradict each other. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define CORE __attribute__((preserve_access_index))

struct xfs_mount { void *m_super; } CORE; /* xfs alone */
struct wg_device { unsigned short incoming_port; int gone; } CORE; /* wireguard alone */
struct nf_conn_help { void *helper; } CORE; /* twenty modules */
struct kvm_lapic { unsigned long base_address; } CORE; /* kvm, kvm_amd, kvm_intel */
struct nft_chain { unsigned char flags : 5, bound : 1; } CORE;
struct camellia_ctx { unsigned key_length; } CORE; /* behind a table whose size differs */
struct slave { void *dev; } CORE; /* bonding's, eql's */
struct slave___bonding { void *bond; } CORE; /* one of the two has it */
struct task_struct { int pid; struct nf_conn_help *gone; } CORE; /* vmlinux has it: no module is asked */
enum ip_set_dim___mine { IPSET_DIM_ONE___mine = 77, IPSET_DIM_NONE___mine = 78 };

unsigned long long out;

SEC("raw_tp/sched_switch")
int in_one(void *ctx)
{
	struct xfs_mount *mount = (void *)bpf_get_current_task();
	struct wg_device *device = (void *)mount;

	out = (long)BPF_CORE_READ(mount, m_super) + BPF_CORE_READ(device, incoming_port);
	out += bpf_core_field_size(device->incoming_port) + bpf_core_type_size(struct xfs_mount);
	out += bpf_core_type_exists(struct wg_device) + bpf_core_field_exists(device->gone);
	return 0;
}

SEC("raw_tp/sched_switch")
int in_several(void *ctx)
{
	struct nf_conn_help *help = (void *)bpf_get_current_task();
	struct kvm_lapic *lapic = (void *)help;
	struct nft_chain *chain = (void *)help;

	out = (long)BPF_CORE_READ(help, helper) + BPF_CORE_READ(lapic, base_address);
	out += BPF_CORE_READ_BITFIELD_PROBED(chain, flags) + BPF_CORE_READ_BITFIELD_PROBED(chain, bound);
	out += bpf_core_type_exists(struct nft_chain) + bpf_core_type_size(struct kvm_lapic);
	out += bpf_core_type_matches(struct nf_conn_help) + bpf_core_type_matches(struct xfs_mount);
	return 0;
}

SEC("tp_btf/sched_switch")
int direct(void **ctx)
{
	struct kvm_lapic *lapic = ctx[1];
	struct wg_device *device = ctx[2];
	struct nft_chain *chain = ctx[3];

	out = lapic->base_address + device->incoming_port + BPF_CORE_READ_BITFIELD(chain, bound);
	return 0;
}

SEC("raw_tp/sched_switch")
int enumerators(void *ctx)
{
	out = bpf_core_enum_value(enum ip_set_dim___mine, IPSET_DIM_ONE___mine);
	out += bpf_core_enum_value_exists(enum ip_set_dim___mine, IPSET_DIM_NONE___mine);
	return 0;
}

SEC("raw_tp/sched_switch")
int poisoned(void *ctx)
{
	struct wg_device *device = (void *)bpf_get_current_task();
	struct task_struct *t = (void *)device;

	out = BPF_CORE_READ(device, gone) + BPF_CORE_READ(t, pid) + (long)BPF_CORE_READ(t, gone, helper);
	return 0;
}

SEC("raw_tp/sched_switch")
int in_some(void *ctx)
{
	struct slave___bonding *slave = (void *)bpf_get_current_task();

	out = bpf_core_field_exists(slave->bond) + (long)BPF_CORE_READ(slave, bond);
	return 0;
}

SEC("raw_tp/sched_switch")
int offsets_conflict(void *ctx)
{
	struct slave *slave = (void *)bpf_get_current_task();

	out = (long)BPF_CORE_READ(slave, dev);
	return 0;
}

SEC("raw_tp/sched_switch")
int sizes_conflict(void *ctx)
{
	out = bpf_core_type_size(struct camellia_ctx);
	return 0;
}

SEC("raw_tp/sched_switch")
int number(void *ctx)
{
	out = bpf_core_type_id_kernel(struct xfs_mount);
	return 0;
}

SEC("raw_tp/sched_switch")
int numbers_conflict(void *ctx)
{
	out = bpf_core_type_id_kernel(struct nf_conn_help);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
