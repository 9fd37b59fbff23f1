"""Run in a guest, with the agent's zip on the path: ask its kernel for each feature, and print the answers as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from everykernel import load
from everykernel.btf import Btf
from everykernel.load.kernel.probes import Probes
from everykernel.object.maps import MAP_TYPE
from everykernel.object.sections import ATTACH_TYPE, PROGRAM_TYPE

# Helpers by their numbers (enum bpf_func_id of the kernel's include/uapi/linux/bpf.h), asked for by kprobe programs.
HELPERS = {
    "bpf_ringbuf_reserve": 131,
    "bpf_snprintf_btf": 149,
    "bpf_for_each_map_elem": 164,
    "bpf_timer_init": 169,
    "bpf_get_func_ip": 173,
    "bpf_get_attach_cookie": 174,
    "bpf_loop": 181,
    "bpf_kptr_xchg": 194,
    "bpf_dynptr_from_mem": 197,
    "bpf_user_ringbuf_drain": 209,
}
MAPS = ("ringbuf", "task_storage", "bloom_filter", "user_ringbuf", "cgrp_storage", "arena", "insn_array")
PROGRAMS = ("tracing", "struct_ops", "ext", "lsm", "sk_lookup", "syscall", "netfilter")
# Functions that the kernel's symbols have where it can do something that cannot be asked for alone.
SYMBOLS = {
    "links of tracepoints and probes (bpf_link)": "bpf_link_prime",
    "iterators": "bpf_iter_reg_target",
    "kprobe.multi": "bpf_kprobe_multi_link_release",
    "uprobe.multi": "bpf_uprobe_multi_link_release",
    "kprobe.session": "bpf_session_is_return",
    "tcx": "tcx_link_attach",
    "netkit": "netkit_link_attach",
    "tokens": "bpf_token_create",
    "exceptions (bpf_throw)": "bpf_throw",
    "iterators in programs (bpf_iter_num)": "bpf_iter_num_new",
    "kfuncs: bpf_task_acquire": "bpf_task_acquire",
}
SLEEPABLE = 1 << 4  # BPF_F_SLEEPABLE


def main() -> None:
    """Print what the kernel answers."""
    kernel = load.kernel_btf()
    probes = kernel.probes
    sys.stdout.write(json.dumps({**_types(kernel.vmlinux), **_programs(probes), **_symbols()}))


def _types(vmlinux: Btf | None) -> dict[str, bool]:
    own = Path("/sys/kernel/btf")
    modules = [path for path in own.iterdir() if path.name != "vmlinux"] if own.is_dir() else []
    return {"BTF": vmlinux is not None, "BTF of modules": bool(modules)}


def _programs(probes: Probes) -> dict[str, bool]:
    found = {f"map {name}": probes.map_type(MAP_TYPE[name]) for name in MAPS}
    found |= {f"program {name}": probes.program_type(PROGRAM_TYPE[name]) for name in PROGRAMS}
    fentry = PROGRAM_TYPE["tracing"], ATTACH_TYPE["trace_fentry"]
    found["programs that sleep"] = found["program tracing"] and probes.flags(*fentry, SLEEPABLE)
    found["variables per CPU"] = probes.percpu_data()
    return found | {name: probes.helper(PROGRAM_TYPE["kprobe"], number) for name, number in HELPERS.items()}


def _symbols() -> dict[str, bool]:
    with Path("/proc/kallsyms").open() as file:
        names = {name for name in (line.split()[2] for line in file) if name in SYMBOLS.values()}
    lsm = Path("/sys/kernel/security/lsm")
    found = {title: function in names for title, function in SYMBOLS.items()}
    return {**found, "BPF among the active LSMs": lsm.exists() and "bpf" in lsm.read_text().split(",")}


if __name__ == "__main__":
    main()
