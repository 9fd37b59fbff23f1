/* A switch of 13 cases, which clang 22 makes a jump table of for cpu v4. jump_table.bpf.o was made of this with
   clang-22 -O2 -g -target bpf -mcpu=v4 -c, beside the vmlinux.h of a kernel. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
int x; u64 ret;
SEC("raw_tp/sys_enter") int plain(void *c){ x++; return 0; }
SEC("syscall") int sw(void *c){ switch(x){ case 0: ret=11; break; case 1: ret=22; break; case 2: ret=5; break; case 3: ret=91; break; case 4: ret=17; break; case 5: ret=bpf_ktime_get_ns(); break; case 6: ret=bpf_get_smp_processor_id(); break; case 7: ret=3; break; case 8: ret=8; break; case 9: ret=bpf_get_prandom_u32(); break; case 10: ret=99; break; case 11: ret = 7; break; case 12: ret=1; break; default: ret=0; } return 0; }
