"""Reason codes follow from evidence: errno, log and probes."""

from __future__ import annotations

import errno

import pytest

from everykernel.load.kernel.probes import Probes
from everykernel.load.kernel.reason import Reason
from everykernel.load.programs import reasons, verifier
from everykernel.load.system.local import Local
from everykernel.object import sections
from everykernel.reasons import REASONS


class Answers(Probes):
    """Probes that answer without a kernel."""

    def __init__(self, *, program: bool = True, attach: bool = True, newer: bool = False, lockdown: str = "") -> None:
        super().__init__(Local())
        self.lockdown = lockdown
        self._program, self._attach, self._newer = program, attach, newer

    def program_type(self, type_: int) -> bool:
        return self._program or (self._newer and type_ == sections.PROGRAM_TYPE["sk_lookup"])

    def attach_type(self, type_: int, attach_type: int) -> bool:
        return self._attach


def _reason(number: int, log: str, section: str = "socket", probes: Probes | None = None) -> Reason:
    rule, _ = sections.match(section)
    assert rule is not None
    return reasons.of_program(OSError(number, ""), verifier.parse(log), log, rule, probes or Answers())


@pytest.mark.parametrize(
    ("helper", "state", "code"),
    [
        ("bpf_probe_read_kernel#113", "confidentiality", "permission-denied"),
        ("bpf_probe_read#4", "confidentiality", "permission-denied"),
        ("bpf_probe_read_kernel#113", "integrity", "helper-unsupported"),
        ("bpf_probe_read_kernel#113", "none", "helper-unsupported"),
        ("bpf_probe_write_user#36", "integrity", "permission-denied"),
        ("bpf_probe_read_user#112", "confidentiality", "helper-unsupported"),
    ],
)
def test_what_a_locked_down_kernel_denies(helper: str, state: str, code: str) -> None:
    """A helper that lockdown takes from everybody is denied, not unknown."""
    found = _reason(errno.EINVAL, f"0: (85) call {helper}\nunknown func {helper}\n", probes=Answers(lockdown=state))
    assert found.code == code
    name = helper.partition("#")[0]
    told = f"this kernel is locked down ({state}), and denies {name} to everybody: "
    assert found.message.startswith(told) == (code == "permission-denied")


@pytest.mark.parametrize(
    ("number", "log", "code"),
    [
        (errno.EINVAL, "3: (85) call unknown#160\ninvalid func unknown#160\n", "helper-unsupported"),
        (errno.EINVAL, "0: (85) call bpf_probe_read#4\nunknown func bpf_probe_read#4\n", "helper-unsupported"),
        (errno.EINVAL, "0: (85) call bpf_x#4\nprogram of this type cannot use helper bpf_x#4\n", "helper-unsupported"),
        (errno.EACCES, "1: (61) r0 = *(u32 *)(r1 +0)\nR1 invalid mem access 'inv'\n", "verifier-rejected"),
        (errno.EACCES, "calling kernel function bpf_x is not allowed\n", "kfunc-missing"),
        (errno.EINVAL, "1: (85) call unknown#71189\nBPF_CALL uses reserved fields\n", "kfunc-missing"),
        (errno.EINVAL, "BPF_STX uses reserved fields\nprocessed 0 insns\n", "verifier-rejected"),
        (errno.EINVAL, "5: (7b) *(u64 *)(r11 -8) = r2\nR11 is invalid\n", "verifier-rejected"),
        (errno.E2BIG, "9: (05) goto pc-2\nBPF program is too large. Processed 1000001 insn\n", "limit-exceeded"),
        (errno.EACCES, "combined stack size of 2 calls is 592. Too large\n", "limit-exceeded"),
        (errno.E2BIG, "", "limit-exceeded"),
        (errno.EPERM, "", "permission-denied"),
        (errno.ENOENT, "The address of function f cannot be found\n", "attach-target-missing"),
        (errno.EINVAL, "", "load-failed"),
    ],
)
def test_codes(number: int, log: str, code: str) -> None:
    """Each kind of refusal has its code, and the code is in the table."""
    found = _reason(number, log)
    assert found.code == code
    assert found.code in REASONS
    assert found.message


def test_unknown_program_type() -> None:
    """EINVAL without a word, and a smallest program that is refused too: the kernel does not know the type."""
    found = _reason(errno.EINVAL, "", "netfilter", Answers(program=False))
    text = "this kernel does not know program type netfilter (upstream since v6.4)"
    assert found == Reason("program-type-unsupported", text)


def test_a_program_type_that_was_left_out() -> None:
    """Where the kernel knows a type that came later, it was built without this one."""
    found = _reason(errno.EINVAL, "", "lirc_mode2", Answers(program=False, newer=True))
    assert found == Reason("kernel-config-missing", "this kernel is built without program type lirc_mode2")
    found = _reason(errno.EINVAL, "", "netfilter", Answers(program=False, newer=True))
    assert found.code == "program-type-unsupported"


def test_unknown_attach_type() -> None:
    """The same with a known program type: it does not know the attach type."""
    found = _reason(errno.EINVAL, "", "cgroup/getpeername4", Answers(attach=False))
    told = "this kernel does not know attach type cgroup_inet4_getpeername (upstream since v5.8)"
    assert found == Reason("attach-type-unsupported", told)


def test_what_the_verifier_says_comes_before_probes() -> None:
    """A log that names the reason is never overruled by a probe."""
    log = "3: (85) call unknown#160\ninvalid func unknown#160\n"
    assert _reason(errno.EINVAL, log, probes=Answers(program=False)).code == "helper-unsupported"


def test_poison_is_seen() -> None:
    """The call that stands for an unresolved relocation is told apart from a helper that is missing."""
    log = "3: (85) call unknown#195896080\ninvalid func unknown#195896080\n"
    assert reasons.poisoned(verifier.parse(log), log)
    other = "3: (85) call unknown#160\ninvalid func unknown#160\n"
    assert not reasons.poisoned(verifier.parse(other), other)


def test_helpers_have_names() -> None:
    """A helper that the kernel knows by its number only is named, and it is told whether the type is to blame."""
    found = _reason(errno.EINVAL, "3: (85) call unknown#160\ninvalid func unknown#160\n")
    assert found.message.startswith(
        "this kernel does not have helper bpf_ktime_get_coarse_ns (upstream since v5.11): 3: "
    )
    found = _reason(errno.EINVAL, "0: (85) call bpf_probe_read#4\nunknown func bpf_probe_read#4\n")
    assert found.message.startswith("this kernel does not have helper bpf_probe_read for this program type: 0: ")
    found = _reason(errno.EINVAL, "0: (85) call unknown#9999\ninvalid func unknown#9999\n")
    assert found.message.startswith("this kernel does not have helper unknown: 0: ")
