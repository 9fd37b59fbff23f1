"""What a guest of virtme-ng gets from us, beside the host's own files: folders that it may read.

A kernel's tree (its image and modules, with modules.dep) is kept in the cache, for depmod takes its time; it is made of
hard links to the kernel's own files, which stay as they are. What starts our agent is of this process.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shlex
import shutil
import subprocess
from pathlib import Path

from everykernel import cache, images
from everykernel.errors import HarnessError
from everykernel.images.modules import Tree, content
from everykernel.kernels.formats import cpio
from everykernel.kernels.model import Kernel
from everykernel.machine.scratch import run_folder
from everykernel.machine.spec import MachineSpec
from everykernel.machine.vng import needs

FORMAT = 1  # of a kernel's tree: raise it when the same kernel gives another
OURS, TREE = "/run/everykernel", "/run/everykernel-kernel"  # in the guest
AGENT = "everykernel-agent.pyz"
_DEPMOD_PATIENCE = 300.0  # seconds; ten for 4,000 modules
_numbers = itertools.count()

# Run by virtme-ng's init as root, when the host's files are there; what the image's own init does for other guests.
_START = """\
exec </dev/null >/dev/console 2>&1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux
ulimit -l unlimited
stop() {{ echo "everykernel: $*"; exit 1; }}
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=755 boot /boot && cp {ours}/config /boot/config-{release} 2>/dev/null
mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
if [ -d {tree}/lib/modules ]; then
    [ -e /lib/modules/{release}/modules.dep ] || ln -sfn {tree}/lib/modules/{release} /lib/modules/{release}
fi
{steps}
{python} -I -S -B {ours}/{agent}
echo "everykernel: the agent ended with code $?"
"""


def tree(kernel: Kernel) -> Path:
    """Return the folder of a kernel's tree, made if it is not there: ``boot/vmlinuz-RELEASE``, ``lib/modules/RELEASE``.

    Raises HarnessError where depmod fails, CacheError where the cache cannot be written.
    """
    key = hashlib.sha256(repr((FORMAT, kernel.digest, kernel.sha256, str(kernel.modules))).encode()).hexdigest()[:16]
    entry = cache.entry("images", f"vng-{kernel.release}-{key}")
    cache.hold(entry)
    with cache.lock(f"images/{entry.name}"):
        if entry.is_dir():
            cache.touch(entry)
            return entry
        with cache.make_folder(entry) as folder:
            (folder / "boot").mkdir()
            _link(kernel.image, folder / "boot" / f"vmlinuz-{kernel.release}")
            if kernel.modules is not None:
                shutil.copytree(kernel.modules, folder / "lib" / "modules" / kernel.release, copy_function=_link)
                _depmod(folder, kernel)
    return entry


def _link(source: str | Path, target: str | Path) -> None:
    """Make a file that is another one; a copy where that is on another disk, or may not be."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _depmod(folder: Path, kernel: Kernel) -> None:
    for listed in (folder / "lib" / "modules" / kernel.release).glob("modules.*"):
        data = listed.read_bytes()  # depmod writes some anew: not into what is the kernel's own
        listed.unlink()
        listed.write_bytes(data)
    argv = ["depmod", "-b", str(folder), kernel.release]
    environment = {**os.environ, "PATH": needs.path()}
    try:
        subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=_DEPMOD_PATIENCE
        )
    except (OSError, subprocess.SubprocessError) as e:
        raise HarnessError(f"depmod fails on its modules: {e}", where=kernel.spec) from e


def ours(kernel: Kernel, spec: MachineSpec, image: Path) -> Path:
    """Return the folder with what starts our agent in a guest, made anew.

    Raises KernelModuleMissing for a module that the kernel does not have.
    """
    folder = run_folder() / f"vng-{next(_numbers)}"
    folder.mkdir()
    (folder / AGENT).write_bytes(images.agent_compiled())
    (folder / "busybox").write_bytes(_busybox(image))
    (folder / "busybox").chmod(0o755)
    if kernel.config is not None:
        (folder / "config").write_bytes(kernel.config.read_bytes())
    steps = []
    for file in Tree(kernel).order(spec.modules):
        name = f"{file.name.split('.ko')[0]}.ko"
        (folder / name).write_bytes(content(file))
        steps.append(f"{OURS}/busybox insmod {shlex.quote(f'{OURS}/{name}')} || stop module {shlex.quote(name)} fails")
    for name, value in spec.sysctls:
        setting = shlex.quote(f"/proc/sys/{name.replace('.', '/')}")
        steps.append(f"echo {shlex.quote(value)} > {setting} || stop sysctl {shlex.quote(name)} cannot be set")
    start = _START.format(
        ours=OURS,
        tree=TREE,
        release=shlex.quote(kernel.release),
        steps="\n".join(steps),
        python=shlex.quote(needs.interpreter()),
        agent=AGENT,
    )
    (folder / "start").write_text(start)
    return folder


def _busybox(image: Path) -> bytes:
    """Return the static busybox of our own guest image, with which virtme-ng mounts the host's files."""
    with image.open("rb") as stream:
        for member, part in cpio.members(stream):
            if member.name == "bin/busybox":
                return part.read(member.size)
    raise HarnessError("the guest image has no busybox", where=str(image))
