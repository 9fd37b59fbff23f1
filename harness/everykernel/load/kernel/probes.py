"""What a kernel can do, found out by trying the smallest thing that needs it, never from its version.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Optional

from everykernel.btf import sanitise
from everykernel.load.kernel import lockdown, questions
from everykernel.load.system.door import System
from everykernel.object.maps import MAP_TYPE
from everykernel.object.sections import ATTACH_TYPE, PROGRAM_TYPE

_GET_ATTACH_COOKIE = 174


class Probes:
    """The answers of a machine's kernel so far; ``known`` are those of another in the same state."""

    def __init__(self, system: System, known: Optional[Probes] = None) -> None:
        self._system = system
        self._answers: dict[object, bool] = {} if known is None else dict(known._answers)

    @cached_property
    def lockdown(self) -> str:
        """Its lockdown: ``none``, ``integrity``, ``confidentiality``; "" where it does not tell."""
        return lockdown.state(self._system)

    def _ask(self, key: object, question: Callable[[], bool]) -> bool:
        if key not in self._answers:
            self._answers[key] = question()
        return self._answers[key]

    def program_type(self, type_: int) -> bool:
        """Whether the kernel knows a program type."""
        return self._ask(
            ("program", type_), lambda: questions.program_type(self._system, type_, questions.EXPECTED.get(type_, 0))
        )

    def attach_type(self, type_: int, attach_type: int) -> bool:
        """Whether the kernel knows an expected attach type of a program type that it knows."""
        if type_ == PROGRAM_TYPE["ext"]:
            return True
        return self._ask(
            ("attach", type_, attach_type), lambda: questions.program_type(self._system, type_, attach_type)
        )

    def flags(self, type_: int, attach_type: int, flags: int) -> bool:
        """Whether the kernel knows these flags of a program (sleepable, XDP on fragments)."""
        if type_ in questions.NEED_TARGET:
            return True
        return self._ask(
            ("flags", type_, attach_type, flags),
            lambda: questions.program_type(self._system, type_, attach_type, flags),
        )

    def expected_attach_type(self) -> bool:
        """Whether programs are loaded with an expected attach type.

        Linux commit 5e43f899b03a ("bpf: Check attach type at prog load time") (in v4.17); asked as libbpf does, with a
        cgroup_sock program for sock_create.
        """
        return self.attach_type(PROGRAM_TYPE["cgroup_sock"], ATTACH_TYPE["cgroup_inet_sock_create"])

    def syscall_wrapper(self) -> bool:
        """Whether system call functions have the architecture's prefix (ARCH_HAS_SYSCALL_WRAPPER, Linux v4.17)."""
        return self._ask(
            "syscall_wrapper",
            lambda: questions.kprobe_exists(self._system, f"{self._system.architecture.syscall_prefix}sys_bpf"),
        )

    def jit(self) -> bool:
        """Whether the kernel compiles programs: it is built with BPF_JIT, and that is on."""
        return self._ask("jit", lambda: questions.jit(self._system))

    def cookie(self) -> bool:
        """Whether programs can ask for their link's cookie.

        Linux commit 7adfc6c9b315 ("bpf: Add bpf_get_attach_cookie() BPF helper to access bpf_cookie value") (in v5.15).
        """
        return self._ask("cookie", lambda: questions.calls(self._system, PROGRAM_TYPE["kprobe"], _GET_ATTACH_COOKIE))

    def names(self) -> bool:
        """Whether maps and programs have names.

        Linux commit cb4d2b3f03d8 ("bpf: Add name, load_time, uid and map_ids to bpf_prog_info") (in v4.15); asked as
        libbpf does (FEAT_PROG_NAME): a kernel before refuses whatever has one.
        """
        return self._ask("names", lambda: questions.named(self._system))

    def global_data(self) -> bool:
        """Whether programs can refer to what is in an array: global variables.

        Linux commit d8eca5bbb2be ("bpf: implement lookup-free direct value access for maps") (in v5.2); asked as libbpf
        does (FEAT_GLOBAL_DATA).
        """
        return self._ask("global_data", lambda: questions.refers(self._system, MAP_TYPE["array"]))

    def read_kernel(self) -> bool:
        """Whether there is a helper that reads the kernel's memory, and one that reads a process's.

        Linux commit 6ae08ae3dea2 ("bpf: Add probe_read_{user, kernel} and probe_read_{user, kernel}_str helpers") (in
        v5.5); asked as libbpf does (FEAT_PROBE_READ_KERN), with a tracepoint program.
        """
        return self._ask("read_kernel", lambda: questions.reads_kernel(self._system))

    def percpu_data(self) -> bool:
        """Whether programs can refer to what is in a per-CPU array, asked as libbpf 1.8 does."""
        return self._ask("percpu_data", lambda: questions.refers(self._system, MAP_TYPE["percpu_array"]))

    def map_type(self, type_: int) -> bool:
        """Whether the kernel knows a map type: EINVAL may have other reasons, so several shapes are tried."""
        return self._ask(("map", type_), lambda: questions.map_type(self._system, type_))

    def helper(self, type_: int, number: int) -> bool:
        """Whether programs of a type can call a helper, asked as libbpf's libbpf_probe_bpf_helper does."""
        return self._ask(("helper", type_, number), lambda: questions.helper(self._system, type_, number))

    def btf_at_all(self) -> bool:
        """Whether the kernel takes BTF (Linux commit f56a653c1fd1, v4.18): an int, as libbpf asks (FEAT_BTF)."""
        return self._ask("btf_at_all", lambda: questions.btf(self._system, sanitise.LEAST))

    def btf(self, feature: str) -> bool:
        """Whether the kernel takes a BTF feature of `btf.sanitise`."""
        return self._ask(("btf", feature), lambda: questions.btf(self._system, sanitise.PROBES[feature]))
