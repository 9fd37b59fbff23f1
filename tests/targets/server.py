"""A guest that stands for a real host: an OpenSSH server of a Debian suite in a kernel of ours.

It is reached by QEMU's user network, forwarded to the loopback alone. Its agent answers beside the server, over the
guest's own channel: by it tests look for what was left behind.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from everykernel import images
from everykernel.errors import GuestError
from everykernel.images import recipe
from everykernel.kernels.model import Kernel
from everykernel.kernels.progress import SILENT
from everykernel.machine import COLD_BOOT, Machines, MachineSpec, command
from everykernel.machine.channel import DeadlinePassed
from everykernel.machine.command import Place
from everykernel.machine.devices import Boot, Device, Memory
from everykernel.machine.making import Maker
from everykernel.machine.qemu import Herd, Qemu
from everykernel.machine.running import Begun, QemuGuest
from everykernel.machine.scratch import run_folder
from everykernel.machine.slots import boot_slot

RECIPE = Path(__file__).with_name("servers.toml")
_PATIENCE = 600.0  # seconds of a boot: of a busy host it may get a tenth of a core
FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")

_CONFIG = """\
HostKey /etc/ssh/host
AuthorizedKeysFile /etc/ssh/authorized
PasswordAuthentication no
PermitRootLogin yes
StrictModes no
UsePAM no
MaxStartups 100
Subsystem sftp /usr/lib/openssh/sftp-server
"""
_PASSWD = """\
root:x:0:0:root:/root:/bin/sh
sshd:x:100:65534::/run/sshd:/bin/false
lab:x:1000:1000::/home/lab:/bin/sh
plain:x:1001:1001::/home/plain:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
"""
_GROUP = "root:x:0:\nlab:x:1000:\nplain:x:1001:\nnogroup:x:65534:\n"
_SHADOW = "".join(f"{name}:*:19000:0:99999:7:::\n" for name in ("root", "sshd", "lab", "plain", "nobody"))
_PAM = "auth sufficient pam_permit.so\naccount sufficient pam_permit.so\nsession sufficient pam_permit.so\n"
# The first import of each module compiles it: a real host has that behind it.
_SETUP = """\
set -e
chown 1000:1000 /home/lab; chown 1001:1001 /home/plain; chmod 1777 /tmp /var/tmp
chmod 600 /etc/ssh/host /etc/shadow; chmod 440 /etc/sudoers; chmod 755 / /run /run/sshd
chmod 4755 /usr/bin/sudo
ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up
/usr/bin/python3 -I -S -c "import ctypes, json, select, signal, hashlib, threading, queue, subprocess, dataclasses, \
    typing, mmap, re, struct, fcntl, traceback, zipimport, tempfile, random, pathlib, zipfile"
/usr/sbin/sshd -f /etc/ssh/sshd_config -E /var/log/sshd
"""


@dataclass(frozen=True)
class Network:
    """A network card behind QEMU's user network: ports of the loopback lead to the guest's own, nothing leads out."""

    ports: tuple[tuple[int, int], ...]

    def qemu(self) -> list[str]:
        """Return the card."""
        forward = ",".join(f"hostfwd=tcp:127.0.0.1:{here}-:{there}" for here, there in self.ports)
        return ["-netdev", f"user,id=net,restrict=on,{forward}", "-device", "virtio-net-pci,netdev=net"]

    def kernel(self) -> list[str]:
        """Return nothing."""
        return []


def rules(suite: str) -> recipe.Recipe:
    """Return the recipe of a suite's server: the guest image's own, and more."""
    more = tomllib.loads(RECIPE.read_text())
    own, usual = more[suite], recipe.read("x86_64")
    text = folders_text().replace("{python}", own["python"])
    base = tomllib.loads(text)
    return replace(
        usual,
        suite=own["suite"],
        packages=(*base["packages"], *more["packages"], *own["packages"]),
        keep=(*base["keep"], *more["keep"]),
        drop=tuple(base["drop"]),
        rescue=tuple(base["rescue"]),
        folders=(*base["folders"], *more["folders"]),
        links=tuple(sorted({**base["links"], **own.get("links", {})}.items())),
    )


def folders_text() -> str:
    """Return the guest image's recipe."""
    from everykernel import folders

    return (folders.data("images") / "guest.toml").read_text()


def keygen(path: Path) -> Path:
    """Make a key pair, and return the private one's path."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


class Server:
    """One such guest, with its agent. Close it.

    Attributes:
        port: of the loopback.
        others: two more, that lead to its ports 2200 and 2201.
        key: a private key that all of its users take.
        host_key: the public key that it shows.
        guest: the guest, over its own channel.
    """

    def __init__(self, kernel: Kernel, suite: str, folder: Path, *, cmdline: str = "") -> None:
        self.suite = suite
        self.folder = folder
        self.port, *self.others = (_free_port() for _ in range(3))
        ports = tuple(zip((self.port, *self.others), (22, 2200, 2201)))
        self.key = keygen(folder / "user")
        keygen(folder / "host")
        self.host_key = " ".join((folder / "host.pub").read_text().split()[:2])
        self._herd = Herd()
        spec = MachineSpec(memory=512, cmdline=cmdline, modules=("virtio_net",))
        with Machines("tcg") as machines:
            plan = machines.plan(kernel, spec)
        plan = replace(plan, image=images.build(kernel.arch, rules=rules(suite)))
        initrd = run_folder() / f"server-{self.port}"
        initrd.write_bytes(plan.image.path.read_bytes() + plan.modules.read_bytes())

        def devices(place: Place) -> list[Device]:
            common = [*command.common(kernel.arch, spec, "tcg", place), Network(ports)]
            return command.booting(common, Memory(spec.memory), Boot(kernel.image, initrd, cmdline))

        with boot_slot():
            self.qemu = self._boot(plan.program, devices)
        try:
            facts = Maker(plan, SILENT, self._herd).push_agent(self.qemu)
            begun = Begun(self.qemu, facts, COLD_BOOT, [])
            self.guest = QemuGuest(kernel, spec, begin=lambda: begun, abandon=lambda: None, timeout=60)
            self._set_up()
            self.listening(22, "/var/log/sshd")
        except BaseException:
            self.close()
            raise
        finally:
            initrd.unlink()

    def _boot(self, program: Path, devices: Callable[[Place], list[Device]]) -> Qemu:
        """Return it booted; a kernel whose timers did not survive that is booted again."""
        for attempt in range(3):
            qemu = Qemu(program, devices, f"server {self.suite}", self._herd)
            try:
                qemu.connect()
                about = qemu.receive_stage0(time.monotonic() + _PATIENCE)
                assert not about["problems"], about
            except BaseException as e:
                qemu.close()
                if attempt == 2 or not isinstance(e, GuestError | DeadlinePassed):
                    raise
            else:
                return qemu
        raise AssertionError

    def _set_up(self) -> None:
        files = {
            "/etc/ssh/sshd_config": _CONFIG,
            "/etc/ssh/host": (self.folder / "host").read_text(),
            "/etc/ssh/authorized": self.key.with_suffix(".pub").read_text(),
            "/etc/passwd": _PASSWD,
            "/etc/group": _GROUP,
            "/etc/shadow": _SHADOW,
            "/etc/sudoers": "lab ALL=(ALL:ALL) NOPASSWD: ALL\nDefaults use_pty\n",
            "/etc/pam.d/sudo": _PAM,
            "/etc/pam.d/other": _PAM,
        }
        for path, text in files.items():
            self.guest.push(path, text.encode())
        self.sh(_SETUP)

    def sh(self, script: str, timeout: float = 60) -> str:
        """Run a script in the guest beside the server, and return what it wrote; it has to succeed."""
        ran = self.guest.run(["/bin/sh", "-c", script], timeout=timeout)
        assert ran.code == 0, (ran.code, ran.stdout, ran.stderr)
        return ran.stdout.decode(errors="replace")

    def listening(self, port: int, log: str) -> None:
        """Wait until a server of the guest takes connections to a port: sshd leaves its shell before it listens."""
        row = f"grep -q ':{port:04X} .* 0A ' /proc/net/tcp"  # TCP_LISTEN is 0A
        self.sh(f"for second in $(seq 60); do {row} && exit; sleep 1; done; cat {log}; exit 1", 120)

    @property
    def console(self) -> str:
        """Return the file that has its console."""
        return str(self.qemu._console)

    @property
    def url(self) -> str:
        """Return where its user with sudo is."""
        return self.at("lab")

    def at(self, user: str) -> str:
        """Return where one of its users is."""
        return f"ssh://{user}@127.0.0.1:{self.port}"

    def known(self, key: str = "") -> str:
        """Return the line of known_hosts that knows it (or another key in its place)."""
        return f"[127.0.0.1]:{self.port} {key or self.host_key}\n"

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(AttributeError):
            self.guest.close()
        self._herd.close()
        self.qemu.close()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
