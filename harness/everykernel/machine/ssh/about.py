"""What a target is, asked of its shell before anything is written there."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass, field

from everykernel.errors import CapabilityMissing, GuestLost, PythonMissing, SudoRefused, TargetError
from everykernel.escaping import printable
from everykernel.load.kernel import lockdown
from everykernel.machine.ssh.connection import BROKEN, Connection
from everykernel.machine.ssh.target import Target

OLDEST = (3, 9)  # Python that our agent runs on
_LIMIT = 64 << 10  # bytes of its answer
_PYTHONS = ("python3", *(f"python3.{minor}" for minor in range(20, 8, -1)), "/usr/libexec/platform-python")
_CAPABLE = (21, 39)  # CAP_SYS_ADMIN, CAP_BPF: include/uapi/linux/capability.h
# Each line is NAME=VALUE; a name may come again. Nothing is written, nothing is loaded.
_SCRIPT = """\
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin; export PATH
echo "machine=$(uname -m)"
echo "release=$(uname -r)"
echo "version=$(uname -v)"
echo "uid=$(id -u)"
echo "user=$(id -un)"
echo "capabilities=$(sed -n 's/^CapEff:[^0-9a-f]*//p' /proc/self/status)"
echo "lsm=$(cat /sys/kernel/security/lsm 2>/dev/null | tr -d '\\000')"
echo "lockdown=$(cat /sys/kernel/security/lockdown 2>/dev/null)"
echo "unprivileged=$(cat /proc/sys/kernel/unprivileged_bpf_disabled 2>/dev/null)"
echo "boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
[ -r /sys/kernel/btf/vmlinux ] && echo "btf=kernel"
for config in /proc/config.gz "/boot/config-$(uname -r)"; do [ -r "$config" ] && echo "config=$config"; done
for python in PYTHONS; do
    found=$(command -v "$python" 2>/dev/null) || continue
    version=$("$found" -I -S -c 'import sys, ctypes
print("%d.%d.%d" % sys.version_info[:3]); sys.exit(sys.version_info < (3, 9))' 2>/dev/null)
    fits=$?
    [ -z "$version" ] || echo "python=$version $found"
    [ $fits != 0 ] || break
done
if [ "$(id -u)" != 0 ]; then
    said=$(sudo -n true 2>&1) && echo "sudo=yes" || echo "sudo=$(echo "$said" | tail -n 1)"
fi
echo "end="
"""


@dataclass(frozen=True)
class About:
    """What a target's shell told.

    Attributes:
        machine, release, version: uname(1)'s.
        user, uid: who is logged in.
        capable: whether that user may load BPF programs as it is.
        sudo: "" for root, ``yes`` where ``sudo -n`` is let, else what it says.
        pythons: versions and paths of the interpreters that start.
        btf: whether the kernel has BTF.
        config: the file of its configuration, "" for none.
        lsm, lockdown, unprivileged_bpf: as the files of the kernel say; "" unknown.
        boot: the boot's own number: another one means that it has booted since.
    """

    machine: str
    release: str
    version: str
    user: str
    uid: int
    capable: bool
    sudo: str
    btf: bool
    config: str
    lsm: str
    lockdown: str
    unprivileged_bpf: str
    boot: str
    pythons: tuple[tuple[tuple[int, ...], str], ...] = field(default=())

    def __str__(self) -> str:
        """Return the kernel's facts in one line."""
        unprivileged = {"": "", "0": "unprivileged BPF"}.get(self.unprivileged_bpf, "no unprivileged BPF")
        facts = (
            f"{self.release} {self.machine}",
            "BTF" if self.btf else "no BTF",
            "configuration" if self.config else "no configuration",
            f"lockdown {self.lockdown}" if self.lockdown else "",
            f"LSMs {self.lsm}" if self.lsm else "",
            unprivileged,
        )
        return ", ".join(filter(None, facts))

    def python(self, target: Target) -> tuple[tuple[int, ...], str]:
        """Return version and path of the interpreter for our agent; raise PythonMissing where there is none."""
        fit = [(version, path) for version, path in self.pythons if version >= OLDEST]
        if fit:
            return fit[0]
        told = ", ".join(f"{'.'.join(map(str, version))} at {path}" for version, path in self.pythons)
        needed = ".".join(map(str, OLDEST))
        text = f"it has no Python ≥ {needed} with ctypes ({f'only {told}' if told else 'none at all'})"
        remedy = f'install it; or for {target.host} in pyproject.toml python = "/path", or "none": docs/targets.md'
        raise PythonMissing(text, where=target.spec, remedy=remedy)

    def by_sudo(self, target: Target, *, loads: bool) -> bool:
        """Return whether the agent is run by ``sudo -n``.

        Raises:
            SudoRefused: it would have to be, and is refused.
            CapabilityMissing: loading was allowed, and nobody there may.
        """
        if self.uid == 0 or (target.sudo is None and (not loads or self.capable)):
            if loads and not self.capable:
                text = f"{self.user!r} has neither CAP_BPF nor CAP_SYS_ADMIN: it is root of a container"
                raise CapabilityMissing(text, where=target.spec, remedy="run it with --privileged, or name its host")
            return False
        if target.sudo is False:
            if loads and not self.capable:
                text = f"user {self.user!r} has neither CAP_BPF nor CAP_SYS_ADMIN, and sudo = false"
                raise CapabilityMissing(text, where=target.spec, remedy="leave sudo out, or log in as root")
            return False
        if self.sudo != "yes":
            said = printable(self.sudo.strip() or "there is none")[:200]
            remedy = f"let it without a password (sudoers: {self.user} ALL=(root) NOPASSWD: ALL), or log in as root"
            text = f"user {self.user!r} is not root, and sudo -n is refused: {said}"
            raise SudoRefused(text, where=target.spec, remedy=remedy)
        return True


def ask(connection: Connection, target: Target, patience: float) -> About:
    """Return what a target is; raise TargetError for one that has no shell of ours, GuestLost for nonsense."""
    named = f"'{target.python}'" if target.python and not target.bare else " ".join(_PYTHONS)
    if "'" in target.python:
        raise PythonMissing(f"python = {target.python!r} is no path", where=target.spec)
    told = _said(connection, _SCRIPT.replace("PYTHONS", named), patience, target.spec)
    lines = [line.partition("=") for line in told.splitlines() if "=" in line]
    if not lines or lines[-1][0] != "end":
        shown = printable(told.strip().partition("\n")[0][:120])
        raise TargetError(f"its shell is none that we understand: {shown or 'it says nothing'}", where=target.spec)
    found = {name: value for name, _, value in reversed(lines)}
    if not re.fullmatch(r"\d+", found.get("uid", "")) or not re.fullmatch(r"[\w.+~-]{1,120}", found.get("release", "")):
        raise GuestLost("its shell says nothing of its kernel that we understand", where=target.spec)
    capabilities = int(found["capabilities"], 16) if re.fullmatch(r"[0-9a-f]+", found.get("capabilities", "")) else 0
    pythons = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+) (/\S+)", value) for name, _, value in lines if name == "python"]
    return About(
        machine=found.get("machine", ""),
        release=found["release"],
        version=found.get("version", "")[:200],
        user=found.get("user", "")[:64],
        uid=int(found["uid"]),
        capable=any(capabilities >> bit & 1 for bit in _CAPABLE),
        sudo=found.get("sudo", ""),
        btf=found.get("btf") == "kernel",
        config=found.get("config", ""),
        lsm=found.get("lsm", "")[:500],
        lockdown=lockdown.chosen(found.get("lockdown", ""))[:40],
        unprivileged_bpf=found.get("unprivileged", "")[:4],
        boot=found.get("boot", "")[:64],
        pythons=tuple((tuple(map(int, one.groups()[:3])), one[4]) for one in pythons if one),
    )


def _said(connection: Connection, script: str, patience: float, where: str) -> str:
    """Return what a script prints that the target's sh reads from its standard input."""
    out = bytearray()
    deadline = time.monotonic() + patience
    try:
        with connection.transport.open_session(timeout=patience) as channel:
            channel.settimeout(patience)
            channel.exec_command("sh")
            with contextlib.suppress(OSError):  # a shell that does not listen may say why
                channel.sendall(script.encode())
                channel.shutdown_write()
            while data := channel.recv(1 << 14):
                out += data
                if len(out) > _LIMIT:
                    break
                if time.monotonic() > deadline:
                    raise TimeoutError
    except BROKEN as e:
        how = f"did not answer within {patience:g} s" if isinstance(e, TimeoutError) else "was cut"
        raise GuestLost(f"the connection {how} while its kernel was looked at", where=where) from e
    return out.decode(errors="replace")
