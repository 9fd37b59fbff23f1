"""Every error that everykernel raises on purpose, with its reason code and the exit code it leads to.

An error's text is one line: ``where: what [what to do next]``. All data stays on the object; only the command line and
the pytest plugin turn an error into text and an exit code.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from everykernel.escaping import printable


class EverykernelError(Exception):
    """Base of all errors; ``code`` is the reason code (see `everykernel.reasons`), ``exit_code`` the command's.

    Args:
        message: what went wrong, lower case, no full stop.
        where: the file, kernel or request that it concerns; printed first.
        remedy: what to do next; printed last, in brackets.
    """

    code = "harness-error"
    exit_code = 4

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return printable(f"{text} [{self.remedy}]" if self.remedy else text)


# What the user asked for cannot be understood: exit code 2.


class UsageError(EverykernelError):
    """A request, a setting or a case file that makes no sense as written."""

    code = "usage-error"
    exit_code = 2


class UnknownKernel(UsageError):
    """A kernel spec that no source can serve; ``spec`` is the spec, ``nearest`` what comes closest (may be empty)."""

    def __init__(self, message: str, *, spec: str, nearest: str = "", where: str = "", remedy: str = "") -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.spec = spec
        self.nearest = nearest


# The object or its programs failed: exit code 1.


class CaseError(EverykernelError):
    """The object under test is at fault, or the kernel refused it: a verdict, not an accident."""

    exit_code = 1


class ObjectMalformed(CaseError):
    """An object whose bytes contradict themselves; ``where`` names file, section, record and offset."""

    code = "object-malformed"


class ObjectUnsupported(CaseError):
    """A sound object that asks for something that no loader takes (byte order, relocation, legacy section)."""

    code = "object-unsupported"


class BtfMalformed(CaseError):
    """BTF bytes that contradict themselves; ``where`` names the BTF and the type or offset."""

    code = "btf-rejected"


class CompileFailed(CaseError):
    """A case's BPF source that the compiler refused; ``output`` is all that it printed."""

    def __init__(self, message: str, *, output: str = "", where: str = "", remedy: str = "") -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.output = output


# The guest broke: exit code 3.


class GuestError(EverykernelError):
    """A virtual machine did not do its part; ``console`` holds the last lines that the kernel printed.

    ``out_of_memory`` tells whether its kernel said that it had too little.
    """

    code = "guest-lost"
    exit_code = 3
    out_of_memory = False

    def __init__(self, message: str, *, console: str = "", where: str = "", remedy: str = "") -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.console = console


class BootFailed(GuestError):
    """A kernel never got as far as its agent."""

    code = "boot-failed"


class GuestLost(GuestError):
    """QEMU or the channel ended without the kernel having said why, or the kernel killed the agent."""

    code = "guest-lost"


class KernelPanic(GuestError):
    """The kernel panicked; ``console`` has the trace."""

    code = "kernel-panic"


class KernelOops(GuestError):
    """The kernel oopsed (``oops=panic`` ends the guest at once); ``console`` has the trace."""

    code = "kernel-oops"


class TargetError(GuestError):
    """A machine of the user's cannot be used: it was not reached, or nothing was begun on it. Nothing is left there."""

    code = "target-unusable"


class TargetUnreachable(TargetError):
    """Nobody answers there, or not by SSH."""


class HostKeyUnknown(TargetError):
    """The target shows a key that no known_hosts file has; ``fingerprint`` is the key's."""

    def __init__(self, message: str, *, fingerprint: str, where: str = "", remedy: str = "") -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.fingerprint = fingerprint


class HostKeyChanged(TargetError):
    """The target shows another key than the one that is known of it."""


class LoginRefused(TargetError):
    """The target takes none of the keys that were offered."""


class PythonMissing(TargetError):
    """The target has no Python that our agent runs on."""


class SudoRefused(TargetError):
    """The target's user is not root, and becomes it only with a password."""


class CapabilityMissing(TargetError):
    """The target's user may not load BPF programs, root or not."""


class FolderRefused(TargetError):
    """The target lets nobody make the temporary folder of our agent."""


class DiskFull(TargetError):
    """The target has no room for our agent."""


class LoaderBroke(GuestError):
    """The adapter of a real loader crashed in the guest, or answered what is no answer."""

    code = "loader-broke"


class KernelHung(GuestError):
    """The guest neither answered nor died by its deadline, and was killed."""

    code = "kernel-hung"


class CaseTimeout(CaseError):
    """What was asked for did not end by its deadline, while the guest's agent still answers."""

    code = "timeout"


class KernelModuleMissing(CaseError):
    """A kernel module that a case asks for is not in this kernel."""

    code = "module-missing"


class RequestFailed(CaseError):
    """The agent answered a request with an error of its own; ``code`` is the reason it gave."""

    def __init__(self, message: str, *, code: str, where: str = "", remedy: str = "") -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.code = code


# The harness or its surroundings broke: exit code 4.


class HarnessError(EverykernelError):
    """Something on the host side is missing or broken."""


class ToolMissing(HarnessError):
    """A program that the host needs is not installed; the remedy says how to get it."""


class DownloadError(HarnessError):
    """A file could not be had whole and verified from any of its sources."""


class CacheError(HarnessError):
    """The cache cannot be read or written (a full disk, a wrong owner)."""
