/* Accesses that some kernels lack, name otherwise or hold in another width: what `explain` has a remedy for. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define PRESERVED __attribute__((preserve_access_index))
#define CURRENT(type) ((type *)bpf_get_current_task())

struct timespec64 { long long tv_sec; long tv_nsec; } PRESERVED;
struct bio_issue { unsigned long long value; } PRESERVED;
struct task_struct {
	long state;              /* __state since v5.14 */
	unsigned int cpu;        /* in thread_info since v5.16 */
	int on_cpu;              /* a byte in 7.3 */
	char comm[32];           /* 16 everywhere */
	char nowhere[8];
	char large_nowhere[4096];
	unsigned int bits_nowhere:3;
} PRESERVED;
struct bio { struct bio_issue bi_issue; } PRESERVED;   /* issue_time_ns since v6.18 */
struct inode { struct timespec64 i_ctime; } PRESERVED; /* i_ctime_sec since v6.11 */
struct request { void *rq_disk; } PRESERVED;           /* gone since v5.17 */
struct folio { unsigned long flags; } PRESERVED;       /* since v5.16 */
struct irq_info { unsigned int evtchn; unsigned char slot; int irq; } PRESERVED;
struct in6_addr { union { __u64 u6_addr32[2]; } in6_u; } PRESERVED;
struct bio___own { unsigned long long issue_time_ns; } PRESERVED;
enum bpf_func_id___mine { BPF_FUNC_loop___mine = 181 };/* since v5.17 */
enum skb_drop_reason { SKB_DROP_REASON_NO_SOCKET = 3 }; /* 2 in v6.1 */
struct trace_event_raw_kfree_skb { enum skb_drop_reason reason; } PRESERVED;

char buffer[16];
long long sum;

SEC("raw_tp/sys_enter") int members(void *ctx)
{
	sum += BPF_CORE_READ(CURRENT(struct task_struct), state);
	sum += BPF_CORE_READ(CURRENT(struct task_struct), cpu);
	sum += BPF_CORE_READ(CURRENT(struct bio), bi_issue.value);
	sum += BPF_CORE_READ(CURRENT(struct inode), i_ctime.tv_sec);
	sum += (long)BPF_CORE_READ(CURRENT(struct request), rq_disk);
	sum += BPF_CORE_READ(CURRENT(struct task_struct), comm[20]);
	bpf_core_read(buffer, 8, &CURRENT(struct task_struct)->nowhere);
	bpf_core_read(buffer, 8, &CURRENT(struct task_struct)->large_nowhere);
	sum += BPF_CORE_READ_BITFIELD_PROBED(CURRENT(struct task_struct), bits_nowhere);
	return 0;
}

SEC("raw_tp/sys_enter") int widths(void *ctx)
{
	sum += BPF_CORE_READ(CURRENT(struct task_struct), on_cpu);
	sum += BPF_CORE_READ(CURRENT(struct in6_addr), in6_u.u6_addr32[1]);
	return 0;
}

SEC("raw_tp/sys_enter") int types(void *ctx)
{
	sum += BPF_CORE_READ(CURRENT(struct folio), flags);
	sum += bpf_core_enum_value(enum bpf_func_id___mine, BPF_FUNC_loop___mine);
	return 0;
}

SEC("raw_tp/sys_enter") int one_type(void *ctx)
{
	sum += BPF_CORE_READ(CURRENT(struct irq_info), evtchn);
	sum += BPF_CORE_READ(CURRENT(struct irq_info), slot);
	return 0;
}

SEC("raw_tp/sys_enter") int two_types(void *ctx)
{
	sum += BPF_CORE_READ(CURRENT(struct irq_info), irq);
	return 0;
}

SEC("raw_tp/sys_enter") int own_type(void *ctx)
{
	struct bio___own *b = (void *)CURRENT(struct bio);

	if (bpf_core_field_exists(b->issue_time_ns))
		sum += BPF_CORE_READ(b, issue_time_ns);
	return 0;
}

SEC("tp_btf/kfree_skb") int reasons(struct trace_event_raw_kfree_skb **ctx)
{
	struct trace_event_raw_kfree_skb *event = *ctx;

	if (BPF_CORE_READ(event, reason) == SKB_DROP_REASON_NO_SOCKET)
		sum++;
	return 0;
}

char _license[] SEC("license") = "GPL";
