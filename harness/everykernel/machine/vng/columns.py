"""``6.1@vng``: a kernel in guests of virtme-ng, as a column beside the same kernel in others."""

from __future__ import annotations

from collections.abc import Sequence

from everykernel import kernels
from everykernel.kernels.model import ResolvedKernel
from everykernel.kernels.progress import Progress
from everykernel.kernels.spec import Spec, parse
from everykernel.machine.vng import needs
from everykernel.settings import VNG, machine_of

NOTE = "the host's user space around this kernel, by virtme-ng: each cell boots it anew, for 9p cannot be restored"
_FLAVOURED = ("series", "version", "range", "lts", "latest")  # kinds of specs that may name a flavour
_GENERIC = "generic"


def resolve(texts: Sequence[str], progress: Progress | None = None) -> list[ResolvedKernel]:
    """Return the kernels that specs with ``@vng`` mean; of a flavour that has 9p where a spec names none.

    Raises:
        UnknownKernel, DownloadError: as `kernels.resolve` does.
        UsageError: one that virtme-ng cannot run here.
        ToolMissing: virtme-ng, or what it needs, is not installed.
    """
    needs.command()
    needs.interpreter()
    return [resolved for text in texts for resolved in _resolve(text, progress)]


def _resolve(text: str, progress: Progress | None) -> list[ResolvedKernel]:
    specs = parse([machine_of(text)[0]])
    for spec in specs:
        if spec.arch is not None:
            needs.check_host(spec.arch, text)
    found = kernels.resolve([_flavoured(spec) for spec in specs], progress)
    return [_column(resolved, text if len(found) == 1 else f"{resolved.spec}@{VNG}") for resolved in found]


def _flavoured(spec: Spec) -> str:
    """Return the spec with the flavour that Debian's kernels with 9p have, where it could name one and does not."""
    if spec.kind not in _FLAVOURED or spec.flavour or spec.btf:
        return spec.text
    head, slash, arch = spec.text.partition("/")
    return f"{head}+{_GENERIC}{slash}{arch}"


def _column(plain: ResolvedKernel, spec: str) -> ResolvedKernel:
    needs.check_host(plain.arch, spec)
    needs.check_flavour(plain.flavour, spec)
    return plain.placed(spec, VNG, NOTE, needs.check_kernel)
