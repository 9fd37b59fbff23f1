/* A type that only a module has. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct inode { unsigned long i_ino; } __attribute__((preserve_access_index));
struct nfs_inode { unsigned long long fileid; struct inode vfs_inode; } __attribute__((preserve_access_index));

unsigned long long sum;

SEC("kprobe/vfs_rmdir") int number(void *ctx)
{
	sum += BPF_CORE_READ((struct nfs_inode *)bpf_get_current_task(), vfs_inode.i_ino);
	return 0;
}

SEC("kprobe/vfs_rmdir") int there(void *ctx)
{
	sum += bpf_core_type_exists(struct nfs_inode);
	return 0;
}

char _license[] SEC("license") = "GPL";
