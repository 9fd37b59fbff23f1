"""The peer: virtme-ng runs ``true`` in a kernel, through its command.

virtme-ng boots a kernel with the host's own root folder, which the guest mounts over virtiofs or 9p. Debian's cloud
kernels have no 9p, and virtme-ng wants the newer virtiofsd (the one that came with QEMU before 8.0 will not do), so
those kernels it can often not run: this is told, not measured.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from everykernel.errors import HarnessError
from everykernel.kernels.model import Kernel
from everykernel.machine.vng import needs

_NEW_VIRTIOFSD = ("/usr/libexec/virtiofsd", "/usr/lib/virtiofsd")
PATIENCE = 180.0  # seconds for one run; under TCG a kernel with many modules takes 20


class PeerUnable(HarnessError):
    """The peer does not get as far as running ``true`` in this kernel."""


def command() -> str:
    """Return the path of virtme-ng's command; raise ToolMissing where it, or what it calls, is not installed."""
    return str(Path(needs.command()).with_name("vng"))


def run_true(kernel: Kernel, *, kvm: bool) -> float:
    """Run ``true`` in a kernel and return the seconds that it took; raise PeerUnable where it does not run.

    The guest writes a file when ``true`` has ended, in a folder that it shares with the host: virtme-ng's exit code
    tells nothing on a host without udev.
    """
    if not _has_9p(kernel) and not _has_virtiofs(kernel):
        raise PeerUnable("the kernel has no 9p, and no virtiofs that a virtiofsd here serves", where=kernel.spec)
    with tempfile.TemporaryDirectory(prefix="everykernel-bench-") as folder:
        argv = [command(), "-r", str(kernel.image), "--rwdir", folder]
        argv += ["--force-9p"] if _has_9p(kernel) else []
        argv += [] if kvm else ["--disable-kvm"]
        began = time.perf_counter()
        output = _run([*argv, "--", f"true && echo $(uname -r) > {folder}/ran"], kernel)
        seconds = time.perf_counter() - began
        told = Path(folder) / "ran"
        if not told.is_file() or told.read_text().strip() != kernel.release:
            last = output.strip().splitlines()[-1:] or ["it says nothing"]
            raise PeerUnable(f"true did not run: {last[0]}", where=kernel.spec)
    return seconds


def _run(argv: list[str], kernel: Kernel) -> str:
    environment = {**os.environ, "PATH": needs.path()}
    # a session of its own, so that at the deadline the whole tree can be ended
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        return process.communicate(timeout=PATIENCE)[0]
    except subprocess.TimeoutExpired:
        raise PeerUnable(f"true had not run after {PATIENCE:.0f} s", where=kernel.spec) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _has_9p(kernel: Kernel) -> bool:
    return _configured(kernel, "NET_9P_VIRTIO")


def _has_virtiofs(kernel: Kernel) -> bool:
    return _configured(kernel, "VIRTIO_FS") and any(Path(path).is_file() for path in _NEW_VIRTIOFSD)


def _configured(kernel: Kernel, option: str) -> bool:
    """Return whether an option is built in or a module; True where there is no configuration to look at."""
    if kernel.config is None:
        return True
    return bool(re.search(rf"^CONFIG_{option}=[ym]$", kernel.config.read_text(), re.MULTILINE))
