/* GCC 12.2 puts the CO-RE record of a field on the 64-bit load of a variable's address. gcc12_global.bpf.o was made
   of this with bpf-gcc -O2 -gbtf -mco-re -c (package gcc-bpf 12.2.0). */
#define SEC(n) __attribute__((section(n), used))
#define PAI __attribute__((preserve_access_index))
struct super_block { unsigned long s_magic; } PAI;
struct inode { struct super_block *i_sb; } PAI;
struct file { struct inode *f_inode; } PAI;
unsigned long magic;
SEC("fentry/vfs_read") int reading(unsigned long long *ctx)
{
	struct file *fl = (void *)ctx[0];
	magic = fl->f_inode->i_sb->s_magic;
	return 0;
}
char _license[] SEC("license") = "GPL";
