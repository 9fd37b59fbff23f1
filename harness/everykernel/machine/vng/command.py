"""What virtme-ng would start, asked of it and taken over: its QEMU arguments, with our console and without its streams.

virtme-ng runs QEMU as a child that outlives it, and keeps no console. So it is asked for its command (a dry run), and
`machine.process` starts that: it ends with us, it cannot spawn, what its kernel prints is kept.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from everykernel.architectures import Architecture
from everykernel.errors import HarnessError, UsageError
from everykernel.machine.devices import Fragile, Hurried, value
from everykernel.machine.spec import MachineSpec
from everykernel.machine.vng import needs, share

_PATIENCE = 120.0  # seconds
_LONGEST = 2047  # bytes of a command line that x86's kernels take (COMMAND_LINE_SIZE)
# The guest may write here, into its own memory: the host's folders lie below, and stay as they are.
OVERLAYS = ("/etc", "/home", "/opt", "/root", "/srv", "/usr", "/var")


@dataclass(frozen=True)
class Virtme:
    """The devices that virtme-ng wants, but for its streams.

    Attributes:
        arguments: as it gave them, without the emulator.
        console: the file for what the kernel prints.
    """

    arguments: tuple[str, ...]
    console: str | Path

    def qemu(self) -> list[str]:
        """Return the arguments: its console becomes ours, what else it would write to files or read from us is left."""
        out = list(self.arguments)
        for at, word in enumerate(self.arguments[:-1]):
            if word == "-chardev":
                out[at + 1] = self._stream(self.arguments[at + 1])
        return out

    def kernel(self) -> list[str]:
        """Return nothing: its command line is whole."""
        return []

    def _stream(self, text: str) -> str:
        kind, *options = text.split(",")
        named = dict(option.partition("=")[::2] for option in options)
        if kind not in ("stdio", "file"):
            return text
        if named.get("id") == "console":
            return f"file,id=console,path={value(self.console)}"
        return f"null,id={named.get('id')}"


def ask(
    arch: Architecture, spec: MachineSpec, where: str, image: Path, ours: Path, accelerator: str
) -> tuple[str, ...]:
    """Return virtme-ng's arguments for QEMU, with an initramfs that it leaves in ``ours``.

    Args:
        arch: the guest's architecture, which is the host's.
        spec: the machine that is asked for.
        where: the kernel's spec, for errors.
        image: the kernel's image in its tree (`share.tree`).
        ours: the folder with what starts our agent (`share.ours`).
        accelerator: ``kvm`` or ``tcg``.

    Raises:
        ToolMissing: virtme-ng is not installed.
        HarnessError: it does not say what it would start.
        UsageError: more is asked for on the kernel's command line than has room there.
    """
    argv = [needs.command(), "--kimg", str(image), "--mods", "auto", "--force-9p", "--disable-monitor"]
    argv += ["--cpus", str(spec.cpus), "--memory", f"{spec.memory}M", "--busybox", str(ours / "busybox")]
    argv += ["--save-initramfs", str(ours / "initramfs"), "--force-initramfs", "--dry-run", "--show-command"]
    argv += ["--show-boot-console", "--script-sh", f"sh {share.OURS}/start"]
    argv += ["--rodir", f"{share.OURS.lstrip('/')}={ours}", "--rodir", f"{share.TREE.lstrip('/')}={image.parents[1]}"]
    argv += [word for folder in OVERLAYS if Path(folder).is_dir() for word in ("--overlay-rwdir", folder)]
    words = ["loglevel=5", *Fragile(arch).kernel(), *Hurried(arch).kernel(), *spec.cmdline.split()]
    argv += [f"--kopt={word}" for word in words]
    argv += ["--disable-kvm"] if accelerator != "kvm" else []
    said = _run(argv, where, ours)
    arguments = _arguments(said, arch, where)
    line = arguments[arguments.index("-append") + 1]
    if len(line.encode()) > _LONGEST:
        text = f"the kernel's command line has {len(line.encode())} bytes, with what virtme-ng needs"
        raise UsageError(text, where=where, remedy=f"ask for less in cmdline: {_LONGEST} fit")
    if accelerator != "kvm":
        arguments += ("-accel", f"tcg,thread={arch.tcg_threads}")
    return arguments


def _run(argv: list[str], where: str, folder: Path) -> str:
    environment = {**os.environ, "PATH": needs.path(), "TMPDIR": str(folder)}
    try:
        ran = subprocess.run(
            argv,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.SubprocessError) as e:
        raise HarnessError(f"virtme-ng does not answer: {e}", where=where) from e
    if ran.returncode != 0:
        said = (ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"])[-1]
        raise HarnessError(f"virtme-ng refuses: {said[:300]}", where=where, remedy="run `everykernel doctor`")
    return ran.stdout


def _arguments(said: str, arch: Architecture, where: str) -> tuple[str, ...]:
    """Return the arguments in what virtme-ng printed; raise HarnessError for a command that is none of QEMU's."""
    for line in reversed(said.strip().splitlines()):
        try:
            words = shlex.split(line)
        except ValueError:
            continue
        if words and Path(words[0]).name == arch.qemu and {"-append", "-initrd", "-chardev"} <= set(words):
            if not any(word.startswith("file,id=console,") for word in words) or _writable(words):
                break
            return tuple(words[1:])
    raise HarnessError(
        "virtme-ng would start nothing that we know", where=where, remedy="pip install 'virtme-ng>=1.30'"
    )


def _writable(words: list[str]) -> bool:
    """Return whether any of the host's folders would be given to be written to."""
    return any("readonly=on" not in words[at + 1].split(",") for at, word in enumerate(words[:-1]) if word == "-fsdev")
