#!/usr/bin/env bash
# On riscv64, Linux 6.12 with its BPF JIT off answers bpf_get_smp_processor_id() with 0 on every CPU.
#
# Linux 6.12.117 (Debian 13, riscv64), whose net.core.bpf_jit_enable is 0 by default: a socket filter that returns the
#   number of its CPU is loaded, verified and run, on CPU 1 too, and returns 0 there. Compiled by the JIT it returns 1.
#   A program that keeps something by CPU mixes them up, and nothing says so.
# Seen: "jit 0 cpu 1 returns 0", "jit 1 cpu 1 returns 1".
# Needs the libraries of qemu-system-x86, and bsdtar.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get download -qq qemu-system-misc=1:7.2+dfsg-7+deb12u18+b3 qemu-system-data=1:7.2+dfsg-7+deb12u18 2>/dev/null
for package in *.deb; do dpkg-deb -x "$package" root; done
pool=$(apt-get indextargets --format '$(REPO_URI)' | grep -m1 '/debian/$')pool/main # of the mirror that apt uses
curl -sSfo package.deb "$pool/l/linux/linux-image-6.12.117+deb13-riscv64_6.12.117-1_riscv64.deb"
echo "f5d9424b6f6a4518197202effc7e8eeaa90f8d73466c2dba2470f6ea7fb4f55c  package.deb" | sha256sum -c --quiet
dpkg-deb -x package.deb kernel
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check ziglang==0.13.0

cat > init.c <<'C'
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void jit(const char *on)
{
	int file = open("/proc/sys/net/core/bpf_jit_enable", O_WRONLY);

	write(file, on, 1);
	close(file);
}

static void ask(int on)
{
	struct bpf_insn code[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_smp_processor_id },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	char packet[64] = "";
	union bpf_attr load, run;
	long program;

	memset(&load, 0, sizeof(load));
	load.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	load.insns = (uintptr_t)code;
	load.insn_cnt = 2;
	load.license = (uintptr_t)"GPL";
	program = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	for (int cpu = 0; cpu < 2; cpu++) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
		memset(&run, 0, sizeof(run));
		run.test.prog_fd = program;
		run.test.data_in = (uintptr_t)packet;
		run.test.data_size_in = sizeof(packet);
		if (syscall(SYS_bpf, BPF_PROG_TEST_RUN, &run, sizeof(run)))
			perror("test run");
		printf("jit %d cpu %d returns %u\n", on, sched_getcpu(), run.test.retval);
	}
	close(program);
}

int main(void)
{
	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, 0);
	jit("0");
	ask(0);
	jit("1");
	ask(1);
	fflush(stdout);
	sleep(1);
	return reboot(RB_POWER_OFF);
}
C
venv/bin/python -m ziglang cc -target riscv64-linux-musl -static -O1 -o init init.c
mkdir guest guest/dev
cp init guest/init
(cd guest && bsdtar --format=newc --uid 0 --gid 0 -cf ../initrd .)
root/usr/bin/qemu-system-riscv64 --version | head -n 1
timeout 300 root/usr/bin/qemu-system-riscv64 -L root/usr/share/qemu -M virt -accel tcg -smp 2 -m 512 -nodefaults -nographic \
	-serial stdio -no-reboot -kernel kernel/boot/vmlinux-* -initrd initrd \
	-append "console=ttyS0 loglevel=1" | tr -d '\r' | grep -o 'jit . cpu . returns .*' | tee seen
grep -q "jit 0 cpu 1 returns 0" seen && grep -q "jit 1 cpu 1 returns 1" seen
