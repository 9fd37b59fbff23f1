"""A 5.10 that answers as an older kernel: what came later is switched off, by configuration and by a patch.

``python -m tests.old.kernel`` (``nox -s old_kernel``) builds four images from Debian's linux-source-5.10 and leaves
``built/old/NAME/vmlinuz`` and ``config`` in the cache; some twenty minutes of two processors. 4.14, 4.18 and 5.4 have
no BTF, say that they are of that release, and refuse what it does not know, by the rows of `tests.old.table`.
``backported`` says that it is 4.18 and has all of 5.10 but BTF: a vendor's kernel, into which much was brought back.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from tests.kernels import built
from tests.old.table import RELEASES, Release

from everykernel import cache
from everykernel.kernels.debian import Archive
from everykernel.kernels.twins import tree

SOURCE, SUITES = "linux-source-5.10", ("bullseye-security", "bullseye")
BACKPORTED = "backported"
IMAGES = {**{name: name for name in RELEASES}, BACKPORTED: "4.18"}  # the release that each says it is of
OPTION = "everykernel_as"
LOCALVERSION = "-everykernel"
_ENABLED = """
IPV6 IPV6_MULTIPLE_TABLES IPV6_SEG6_LWTUNNEL IPV6_SEG6_BPF LWTUNNEL LWTUNNEL_BPF NET_SCHED NET_CLS NET_CLS_ACT
NET_CLS_BPF NET_ACT_BPF NET_SCH_INGRESS XDP_SOCKETS BPF_STREAM_PARSER MEMCG CGROUP_PERF CGROUP_PIDS CGROUP_DEVICE
NET_NS USER_NS PID_NS UTS_NS IPC_NS SECCOMP SECCOMP_FILTER DYNAMIC_FTRACE FTRACE_SYSCALLS KPROBES_ON_FTRACE
BPF_EVENTS STACKTRACE NETDEVICES NET_CORE DUMMY VETH TUN INET_DIAG NETFILTER PACKET TASKSTATS MMU_NOTIFIER
"""
_DISABLED = "DEBUG_INFO BPF_LSM BPF_PRELOAD IO_URING TIME_NS MPTCP WATCH_QUEUE FUNCTION_PROFILER"

_HEADER = """\
#ifndef _LINUX_EVERYKERNEL_AS_H
#define _LINUX_EVERYKERNEL_AS_H
#include <linux/types.h>
struct everykernel_release {
	const char *name;
	u32 attr, command, map, program, attach, helper, map_flags, program_flags, insns, pseudo, kind;
	u32 program_info, map_info, syscall;
	u32 calls, jmp32, loops, versioned, probe_pmu, syscall_info;
	u32 ends[24];
};
extern const struct everykernel_release *everykernel_as;
union bpf_attr;
int everykernel_bpf(int cmd, union bpf_attr *attr);
#endif
"""
_SOURCE = """\
// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <linux/everykernel_as.h>
#include <linux/init.h>
#include <linux/string.h>
#include <linux/version.h>

static const struct everykernel_release releases[] = {
@ROWS@
};
const struct everykernel_release *everykernel_as;

static int __init choose(char *name)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(releases); i++)
		if (!strcmp(releases[i].name, name))
			everykernel_as = &releases[i];
	return 0;
}
early_param("@OPTION@", choose);

int everykernel_bpf(int cmd, union bpf_attr *attr)
{
	const struct everykernel_release *as = everykernel_as;

	if (!as)
		return 0;
	if (memchr_inv((u8 *)attr + as->attr, 0, sizeof(*attr) - as->attr))
		return -E2BIG;
	if (cmd < 0 || cmd > as->command)
		return -EINVAL;
	if (as->ends[cmd] && memchr_inv((u8 *)attr + as->ends[cmd], 0, sizeof(*attr) - as->ends[cmd]))
		return -EINVAL;
	if (cmd == BPF_MAP_CREATE && (attr->map_type > as->map || attr->map_flags & ~as->map_flags))
		return -EINVAL;
	if (cmd == BPF_PROG_ATTACH && (attr->attach_type > as->attach || (!as->kind && attr->attach_flags & ~1)))
		return -EINVAL;
	if (cmd != BPF_PROG_LOAD)
		return 0;
	if (attr->prog_flags & ~as->program_flags)
		return -EINVAL;
	if (!attr->insn_cnt || attr->insn_cnt > as->insns)
		return -E2BIG;
	if (as->versioned && attr->prog_type == BPF_PROG_TYPE_KPROBE && attr->kern_version != LINUX_VERSION_CODE)
		return -EINVAL;
	if (attr->prog_type > as->program)
		return -EINVAL;
	if (attr->expected_attach_type > as->attach && (attr->prog_type == BPF_PROG_TYPE_CGROUP_SOCK ||
			attr->prog_type == BPF_PROG_TYPE_CGROUP_SOCK_ADDR || attr->prog_type == BPF_PROG_TYPE_CGROUP_SOCKOPT))
		return -EINVAL;
	return 0;
}
"""
_INCLUDE = "#include <linux/everykernel_as.h>\n"
# File, what is there once, and what stands for it; \\g<0> is what was there.
_CHANGES = (
    (
        "kernel/bpf/syscall.c",
        r"\terr = security_bpf\(cmd, &attr, size\);\n",
        "\terr = everykernel_bpf(cmd, &attr);\n\tif (err < 0)\n\t\treturn err;\n\n\\g<0>",
    ),
    (
        "kernel/bpf/syscall.c",
        r"(static int bpf_prog_get_info_by_fd\((?:.|\n)*?\tinfo_len = min_t\(u32, )sizeof\(info\), info_len\);\n",
        "\\g<1>everykernel_as ? everykernel_as->program_info : sizeof(info), info_len);\n",
    ),
    (
        "kernel/bpf/syscall.c",
        r"(static int bpf_map_get_info_by_fd\((?:.|\n)*?\tinfo_len = min_t\(u32, )sizeof\(info\), info_len\);\n",
        "\\g<1>everykernel_as ? everykernel_as->map_info : sizeof(info), info_len);\n",
    ),
    (
        "kernel/bpf/verifier.c",
        r"\t/\* find function prototype \*/\n",
        "\tif (everykernel_as && func_id > (int)everykernel_as->helper) {\n"
        '\t\tverbose(env, "invalid func unknown#%d\\\\n", func_id);\n\t\treturn -EINVAL;\n\t}\n\\g<0>',
    ),
    (
        "kernel/bpf/verifier.c",
        r"\t\t\tif \(insn\[0\]\.src_reg == BPF_PSEUDO_BTF_ID\) \{\n",
        "\t\t\tif (everykernel_as && insn[0].src_reg > everykernel_as->pseudo) {\n"
        '\t\t\t\tverbose(env, "unrecognized bpf_ld_imm64 insn\\\\n");\n\t\t\t\treturn -EINVAL;\n\t\t\t}\n\\g<0>',
    ),
    (
        "kernel/bpf/verifier.c",
        r"if \(loop_ok && env->bpf_capable\)",
        "if (loop_ok && env->bpf_capable && (!everykernel_as || everykernel_as->loops))",
    ),
    (
        "kernel/bpf/verifier.c",
        r"\t\t\} else if \(class == BPF_JMP \|\| class == BPF_JMP32\) \{\n\t\t\tu8 opcode",
        "\t\t} else if (class == BPF_JMP32 && everykernel_as && !everykernel_as->jmp32) {\n"
        '\t\t\tverbose(env, "unknown insn class %d\\\\n", class);\n\t\t\treturn -EINVAL;\n\\g<0>',
    ),
    (
        "kernel/bpf/verifier.c",
        r"\t\tif \(!env->bpf_capable\) \{\n\t\t\tverbose\(env,\n\t\t\t\t\"function calls to other",
        "\t\tif (everykernel_as && !everykernel_as->calls) {\n"
        '\t\t\tverbose(env, "BPF_CALL uses reserved fields\\\\n");\n\t\t\treturn -EINVAL;\n\t\t}\n\\g<0>',
    ),
    (
        "kernel/bpf/btf.c",
        r"\tif \(BTF_INFO_KIND\(t->info\) > BTF_KIND_MAX \|\|\n",
        "\tif (BTF_INFO_KIND(t->info) > (everykernel_as ? everykernel_as->kind : BTF_KIND_MAX) ||\n",
    ),
    (
        "kernel/bpf/btf.c",
        r"\tif \(btf_type_vlen\(t\) > BTF_FUNC_GLOBAL\) \{\n",
        "\tif (btf_type_vlen(t) > (everykernel_as ? BTF_FUNC_STATIC : BTF_FUNC_GLOBAL)) {\n",
    ),
    (
        "kernel/events/core.c",
        r"\tperf_pmu_register\(&perf_kprobe,",
        "\tif (!everykernel_as || everykernel_as->probe_pmu)\n\t\\g<0>",
    ),
    (
        "kernel/events/core.c",
        r"\tperf_pmu_register\(&perf_uprobe,",
        "\tif (!everykernel_as || everykernel_as->probe_pmu)\n\t\\g<0>",
    ),
    (
        "kernel/ptrace.c",
        r"\tcase PTRACE_GET_SYSCALL_INFO:\n",
        "\\g<0>\t\tif (everykernel_as && !everykernel_as->syscall_info)\n\t\t\treturn -EIO;\n",
    ),
    (
        "arch/x86/entry/common.c",
        r"if \(likely\(nr < NR_syscalls\)\) \{",
        "if (likely(nr < NR_syscalls && (!everykernel_as || nr <= everykernel_as->syscall))) {",
    ),
)


def place(name: str) -> Path:
    """Return where an image is kept, whether it is there or not."""
    return cache.folder("built") / "old" / name / "vmlinuz"


def build() -> None:
    """Build the images that are not there yet."""
    missing = [name for name in IMAGES if not place(name).exists()]
    if not missing:
        return
    archive = Archive()
    package = archive.fetch(archive.newest(list(SUITES), SOURCE, "amd64"))
    folder = place("").parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="everykernel-", dir=folder) as work:
        top = built.source(package, Path(work), {})
        patch(top)
        for name in missing:
            make(top, name)


def make(top: Path, name: str) -> None:
    """Build one image in a source tree that is patched, and put it into its place."""
    major, minor = IMAGES[name].split(".")
    built.number(top, {"VERSION": major, "PATCHLEVEL": minor, "SUBLEVEL": "0"})
    line = f'CMDLINE="{OPTION}={name}"'  # one that is not in the table leaves all as it is
    built.configure(top, enabled=f"{_ENABLED} CMDLINE_BOOL", disabled=_DISABLED, local=LOCALVERSION, texts=[line])
    tree.make(top, "bzImage", f"-j{os.cpu_count()}")
    path = place(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(top / ".config", path.with_name("config"))
    shutil.copy(top / "arch/x86/boot/bzImage", path.with_name("vmlinuz.new"))
    path.with_name("vmlinuz.new").rename(path)


def patch(top: Path) -> None:
    """Make a source tree one that can answer as an older kernel; raise ValueError for a source that is another."""
    (top / "include/linux/everykernel_as.h").write_text(_HEADER)
    rows = ",\n".join(_row(release) for release in RELEASES.values())
    (top / "kernel/everykernel_as.c").write_text(_SOURCE.replace("@ROWS@", rows).replace("@OPTION@", OPTION))
    makefile = top / "kernel/Makefile"
    makefile.write_text(makefile.read_text() + "\nobj-y += everykernel_as.o\n")
    for name, there, instead in _CHANGES:
        path = top / name
        text, count = re.subn(there, instead, path.read_text())
        if count != 1:
            raise ValueError(f"{name}: {there!r} is there {count} times, not once")
        path.write_text(text if text.startswith(_INCLUDE) else _INCLUDE + text)


def _row(release: Release) -> str:
    others = ("name", "ends", "semaphores")
    numbers = [f".{name} = {int(value)}" for name, value in vars(release).items() if name not in others]
    ends = ", ".join(f"[{command}] = {end}" for command, end in release.ends.items())
    return f'\t{{ .name = "{release.name}", {", ".join(numbers)}, .ends = {{ {ends} }} }}'


if __name__ == "__main__":
    build()
    sys.stdout.write("".join(f"{place(name)}\n" for name in IMAGES))
