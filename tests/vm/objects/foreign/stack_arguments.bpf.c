/* Functions of seven arguments, of which clang 23 passes the last two on the stack, by r11. stack_arguments.bpf.o was
   made of this with clang-23 -O2 -g -target bpf -mcpu=v3 -c, beside the vmlinux.h of a kernel. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
char LICENSE[] SEC("license") = "GPL";

__noinline int many(int a,int b,int c,int d,int e,int f,int g){ return a+b*2+c*3+d*4+e*5+f*6+g*7; }
static __noinline int smany(u64 a,u64 b,u64 c,u64 d,u64 e,u64 f,u64 g){ return a+b*2+c*3+d*4+e*5+f*6+g*7; }
int k;
SEC("syscall") int ma(void *c){ return many(k,k+1,2,3,4,k+5,6); }
SEC("syscall") int mb(void *c){ return smany(k,k+1,2,3,4,k+5,6); }
