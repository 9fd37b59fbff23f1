"""``everykernel doctor``: what this host has, what it lacks, and what to do about it."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.text import Text

from everykernel import cache, kernels
from everykernel.architectures import ARCHITECTURES, DEFAULT
from everykernel.cli import say
from everykernel.cli.progress import shown
from everykernel.compile import COMPILERS
from everykernel.errors import DownloadError, EverykernelError, HarnessError, ToolMissing
from everykernel.kernels import pahole, store
from everykernel.kernels.debian import Archive
from everykernel.kernels.progress import Progress
from everykernel.kernels.trust import Trust
from everykernel.report import screen

OK, OPTIONAL, MISSING = "ok", "optional", "missing"
OLDEST_QEMU = (7, 2)  # the oldest that the tests run on
OLDEST_CLANG = 19
LIBBPF = Path("/usr/include/bpf/bpf_core_read.h")
ROOM_GB = 2.0  # what kernels, images and snapshots of a first run take
OS_RELEASE = Path("/etc/os-release")

# What to install, by package manager: (Debian and Ubuntu, Fedora, Arch). bootstrap.py has its own copy, since it runs
# before anything is installed.
_PACKAGES: dict[str, tuple[str, str, str]] = {
    **{row.qemu: row.qemu_packages for row in ARCHITECTURES.values()},
    "setpriv": ("util-linux", "util-linux", "util-linux"),
    "clang": ("clang-19 llvm-19", "clang llvm", "clang llvm"),
    "clang and lld": ("clang-19 lld-19", "clang lld", "clang lld"),
    "libbpf headers": ("libbpf-dev", "libbpf-devel", "libbpf"),
    "pahole": ("dwarves", "dwarves", "pahole"),
    "gpgv": ("gpgv", "gnupg2", "gnupg"),
    "Debian keyring": ("debian-archive-keyring", "debian-keyring", "debian-archive-keyring"),
}
_MANAGERS = (
    ("Debian, Ubuntu", "apt-get install", ("debian", "ubuntu")),
    ("Fedora", "dnf install", ("fedora", "rhel", "centos")),
    ("Arch", "pacman -S", ("arch",)),
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what it is.
        status: ``ok``; ``optional``, not there and not needed for everything; ``missing``, needed and not there.
        detail: the version, the place, or what does not work without it.
        remedy: what to do, "" where nothing is to be done.
    """

    name: str
    status: str
    detail: str
    remedy: str = ""


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--no-boot", is_flag=True, help="Do not boot a guest to see which accelerator works.")
def doctor(as_json: bool, no_boot: bool) -> int:
    """Say what is present, what is missing, and what to do about it.

    Boots a kernel to see which accelerator works, fetching one if none is here. Ends with 4 if something that is
    needed is missing.
    """
    checks: list[Callable[[], Iterable[Finding]]] = [
        python, emulator, compiler, static_program, debug_information, host_user_space, signatures, room, mirror,
    ]  # fmt: skip
    findings: list[Finding] = []
    console = screen.Screen(soft_wrap=True)

    def take(found: Iterable[Finding]) -> None:
        for finding in found:
            findings.append(finding)
            if not as_json:
                _print(console, finding)

    for check in checks:
        take(check())
    if no_boot:
        take([Finding("accelerator", OPTIONAL, "not tried")])
    elif any(finding.status == MISSING for finding in findings):
        take([Finding("accelerator", MISSING, "not tried, since something that it needs is missing")])
    else:
        with shown(quiet=as_json) as progress:
            found = list(accelerator(progress))
        take(found)
    if as_json:
        say.data([asdict(finding) for finding in findings], indent=1)
    return HarnessError.exit_code if any(finding.status == MISSING for finding in findings) else 0


def _print(console: screen.Screen, finding: Finding) -> None:
    colour = {OK: "green", OPTIONAL: "yellow", MISSING: "red"}[finding.status]
    console.print(Text(f"{finding.status:<9}", colour) + screen.text(f"{finding.name:<15} {finding.detail}"))
    if finding.remedy:
        console.print(screen.text(f"{'':<25}{finding.remedy}"))


def install(*names: str, os_release: Path = OS_RELEASE) -> str:
    """Return how to install things here; on a system that we do not know, how to on those that we do."""
    packages = [" ".join(dict.fromkeys(each)) for each in zip(*(_PACKAGES[name] for name in names), strict=True)]
    try:
        text = os_release.read_text()
    except OSError:
        text = ""
    ids = re.findall(r"^ID(?:_LIKE)?=\"?([^\"\n]*)", text, re.MULTILINE)
    families = set(" ".join(ids).split())
    for (_, command, names), package in zip(_MANAGERS, packages, strict=True):
        if families & set(names):
            return f"{command} {package}"
    return "; ".join(f"{who}: {command} {p}" for (who, command, _), p in zip(_MANAGERS, packages, strict=True))


def python() -> Iterable[Finding]:
    """The interpreter that runs us."""
    yield Finding("python", OK, f"{platform.python_version()} ({sys.executable})")


def emulator() -> Iterable[Finding]:
    """QEMU, and what ties its life to ours."""
    program = shutil.which(DEFAULT.qemu)
    if program is None:
        yield Finding("qemu", MISSING, f"no {DEFAULT.qemu}: nothing can be booted", install(DEFAULT.qemu))
    else:
        yield _qemu(program)
    yield _others()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        yield Finding("setpriv", MISSING, "keeps QEMU from outliving us", install("setpriv"))
    else:
        yield Finding("setpriv", OK, setpriv)


def _others() -> Finding:
    """The emulators of other architectures."""
    rows = [row for row in ARCHITECTURES.values() if row.qemu != DEFAULT.qemu]
    missing = [row for row in rows if shutil.which(row.qemu) is None]
    there = " ".join(row.name for row in rows if row not in missing)
    if not missing:
        return Finding("other machines", OK, there)
    lacking = f"no emulator for {' '.join(row.name for row in missing)}"
    return Finding(
        "other machines", OPTIONAL, f"{there}; {lacking}" if there else lacking, install(*(row.qemu for row in missing))
    )


def _qemu(program: str) -> Finding:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"version (\d+)\.(\d+)[.\d]*", done.stdout)
    if done.returncode or match is None:
        return Finding("qemu", MISSING, f"{program} does not start: {done.stderr.strip()[:100]}", install(DEFAULT.qemu))
    version = match[0].removeprefix("version ")
    if (int(match[1]), int(match[2])) < OLDEST_QEMU:
        oldest = ".".join(map(str, OLDEST_QEMU))
        return Finding(
            "qemu", OPTIONAL, f"{version} ({program}) is older than {oldest}, the oldest tested", "update it"
        )
    return Finding("qemu", OK, f"{version} ({program})")


def compiler() -> Iterable[Finding]:
    """What compiles BPF programs: not needed for objects that are compiled already."""
    why = "needed only to compile the cases"
    found = next((path for name in COMPILERS if (path := shutil.which(name))), None)
    if found is None:
        yield Finding("clang", OPTIONAL, why, install("clang"))
    elif found.endswith("/clang") and _major(found) < OLDEST_CLANG:
        detail = f"{found} is older than {OLDEST_CLANG}, and crashes on some of the cases"
        yield Finding("clang", OPTIONAL, f"{detail}; {why}", install("clang"))
    else:
        yield Finding("clang", OK, found)
    if LIBBPF.exists():
        yield Finding("libbpf headers", OK, str(LIBBPF.parent))
    else:
        yield Finding("libbpf headers", OPTIONAL, why, install("libbpf headers"))


def _major(compiler: str) -> int:
    """Return a compiler's major version, 0 if it does not say."""
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"version (\d+)", done.stdout)
    return int(match[1]) if match else 0


def static_program() -> Iterable[Finding]:
    """What builds the program for machines without Python: not needed for others."""
    from everykernel.remote import program

    try:
        compiler, linker, _ = program.tools()
    except ToolMissing:
        why = 'needed only for machines without Python (--kernels 6.1@bare, targets with python = "none")'
        yield Finding("static program", OPTIONAL, f"no clang with its lld; {why}", install("clang and lld"))
    else:
        yield Finding("static program", OK, f"{compiler}, {linker}")


def debug_information() -> Iterable[Finding]:
    """What makes BTF of a kernel's debug package: not needed for kernels that have BTF of their own."""
    why = "needed only to make BTF of a kernel's debug package (--btf …-dbg.deb)"
    try:
        found = pahole.find()
    except ToolMissing as e:
        detail = why if e.where == pahole.PROGRAM else f"{e.where} {e.message}; {why}"
        yield Finding("pahole", OPTIONAL, detail, install("pahole"))
    else:
        yield Finding("pahole", OK, f"{found.version} ({found.program})")


def host_user_space() -> Iterable[Finding]:
    """What runs the host's own programs around another kernel: not needed for other guests."""
    from everykernel.machine.vng import needs

    why = "needed only for guests with this host's user space (--kernels 6.1@vng)"
    try:
        program = needs.command()
        needs.interpreter()
    except HarnessError as e:
        yield Finding("virtme-ng", OPTIONAL, f"{e.message}; {why}", e.remedy)
    else:
        yield Finding(
            "virtme-ng", OK, f"{needs.version() or program}, which is for {platform.machine()} kernels with 9p"
        )


def signatures() -> Iterable[Finding]:
    """What checks the signature of Debian's indexes; HTTPS does where it is missing."""
    trust = Trust.of_host()
    why = "Debian's indexes are then taken by HTTPS, their signatures unchecked"
    if trust.gpgv:
        yield Finding("gpgv", OK, trust.gpgv)
    else:
        yield Finding("gpgv", OPTIONAL, why, install("gpgv"))
    if trust.keyrings:
        yield Finding("Debian keyring", OK, str(trust.keyrings[0]))
    else:
        yield Finding("Debian keyring", OPTIONAL, why, install("Debian keyring"))


def room() -> Iterable[Finding]:
    """The cache: can it be written, and is there room in it."""
    try:
        root = cache.root()
        cache.write(cache.folder("verdicts") / ".doctor", b"")
    except EverykernelError as e:
        yield Finding("cache", MISSING, f"{e.where}: {e.message}", e.remedy)
        return
    free = shutil.disk_usage(root).free / 1e9
    detail = f"{root}, {free:.1f} GB free, limit {cache.limit() / 1e9:g} GB"
    if free >= ROOM_GB:
        yield Finding("cache", OK, detail)
    else:
        yield Finding("cache", OPTIONAL, detail, f"free some space, or set {cache.ROOT_SETTING} to a folder elsewhere")


def mirror() -> Iterable[Finding]:
    """Debian's mirror: not needed for what is in the cache."""
    try:
        archive = Archive()
        suite = archive.catalogue.series[kernels.series()[-1]].suites[0]
        started = time.monotonic()
        where = archive.reach(suite)
    except DownloadError as e:
        here = ", ".join(sorted({one.record["release"] for one in store.stored()}))
        status = OPTIONAL if here else MISSING
        have = f"; here are {here}" if here else ", and no kernel is here"
        yield Finding("mirror", status, f"{e.where}: {e.message}{have}", e.remedy)
    except EverykernelError as e:
        yield Finding("mirror", MISSING, f"{e.where}: {e.message}", e.remedy)
    else:
        taken = time.monotonic() - started
        yield Finding("mirror", OK, f"{where} (from {archive.mirror.origin}), answered in {taken:.2f} s")


def accelerator(progress: Progress) -> Iterable[Finding]:
    """Which accelerator works: a kernel is really booted, or restored if it was booted under it before."""
    from everykernel.machine import Machines

    try:
        kernel = _any_kernel(progress)
        with Machines("auto", progress=progress) as machines:
            started = time.monotonic()
            with machines.start(kernel) as guest:
                release = guest.run(["uname", "-r"]).stdout.decode().strip()
                taken = time.monotonic() - started
                detail = f"{machines.accelerator}: {release} answered after {taken:.1f} s ({guest.start_kind})"
    except EverykernelError as e:
        where = f"{e.where}: " if e.where else ""
        yield Finding("accelerator", MISSING, f"no guest comes up: {where}{e.message}", e.remedy)
        return
    usable = "no /dev/kvm" not in detail and "not ours to use" not in detail
    hint = "" if usable else "it works; with KVM (a /dev/kvm that you may read and write) it is faster"
    yield Finding("accelerator", OK, detail, hint)


def _any_kernel(progress: Progress) -> kernels.Kernel:
    """Return a kernel to boot: one that is here, else the newest long-term series of the archive."""
    here = [one.kernel("") for one in store.stored() if one.record["arch"] == DEFAULT.name]
    spec = max(here, key=lambda kernel: kernel.release).series if here else "6.12"
    (resolved,) = kernels.resolve(spec, progress)
    return resolved.fetch(progress)
