"""One entry to all checks: ``nox`` runs them, ``nox -l`` lists them. Sessions use the interpreter that runs nox."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nox

KERNELS = "5.10,6.1,6.12,6.1/i386"
NEWEST = "6.18,7.3"
ARCHITECTURES = "6.12,6.12/arm64,6.12/armhf,6.1/armhf,6.1/i386,6.12/s390x,6.1/s390x,6.12/riscv64,6.12/ppc64el"
TWINS = "6.1,6.12"
ALL_LAYOUTS = "6.16,6.18,7.1,7.3"  # the archive's three package layouts

nox.options.sessions = ["lint", "typing", "tests", "reference", "vm", "wheel", "docs"]
nox.options.default_venv_backend = "none"


def _python(session: nox.Session, *arguments: str) -> None:
    session.run(sys.executable, *arguments, external=True)


@contextmanager
def _beside(session: nox.Session, *arguments: str) -> Iterator[None]:
    """Run Python beside the block, print what it said when both have ended, and fail the session if it failed."""
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen([sys.executable, *arguments], stdout=said, stderr=subprocess.STDOUT) as running:
            try:
                yield
            except BaseException:
                running.terminate()
                raise
        said.seek(0)
        sys.stdout.write(said.read())
    if running.returncode:
        session.error(f"{' '.join(arguments)} ended with exit code {running.returncode}")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    _python(session, "-m", "ruff", "check")
    _python(session, "-m", "ruff", "format", "--check")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types, strictly."""
    _python(session, "-m", "mypy")


@nox.session
def cases(session: nox.Session) -> None:
    """Compile the cases for every architecture."""
    _python(session, "-m", "everykernel", "compile")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests that boot nothing."""
    cases(session)
    apart = "not vm and not wheel and not conformance and not examples"
    _python(session, "-m", "pytest", "-m", apart, "-n", "2", *session.posargs)


@nox.session
def vm(session: nox.Session) -> None:
    """Run the tests that boot real kernels."""
    cases(session)
    _python(
        session,
        "-m",
        "pytest",
        "-m",
        "vm and not toolchains and not tracers and not twins",
        "tests",
        "-n",
        "3",  # one more than cores: some tests wait
        "--dist",
        "loadfile",
        "--no-loadscope-reorder",  # tests/conftest.py knows which files take long
        *session.posargs,
    )


@nox.session
def kernel68(session: nox.Session) -> None:
    """Build a small kernel that says 6.8, for the test of kernels that Debian never had (some minutes)."""
    _python(session, "-m", "tests.kernels.built")


@nox.session
def old_kernel(session: nox.Session) -> None:
    """Build a 5.10 that answers as 4.14, 4.18 and 5.4 do (15 minutes), run the cases on it, and libbpf beside us."""
    _python(session, "-m", "tests.old.kernel")
    _python(session, "-m", "tests.old.verdicts", "built")
    _python(session, "-m", "tests.old.beside")


@nox.session
def twins(session: nox.Session) -> None:
    """Build 6.1 and 6.12 with and without BTF (two hours of one processor, which is said first), and compare them.

    What is found, at which commit, is written into docs/twins.md.
    """
    cases(session)
    _python(session, "-m", "everykernel", "kernels", "build", *TWINS.split(","))
    _python(session, "-m", "pytest", "-m", "twins", "tests/vm/test_twins.py", *session.posargs)
    report = ["--kernel-twins", TWINS, "--kernel-report", "kernel-report-twins"]
    _python(session, "-m", "pytest", *report, "cases", "-n", "2")
    _python(session, "-m", "tests.twins_found", "kernel-report-twins/results.json")


@nox.session
def runners(session: nox.Session) -> None:
    """Run test binaries and tools of Go and Rust in guests (needs go, cargo and its musl target)."""
    _python(session, "-m", "pytest", "-m", "toolchains", "tests/vm", *session.posargs)


@nox.session
def tracers(session: nox.Session) -> None:
    """Run Debian's bpftrace and BCC in guests of 1 GiB, to which 200 MB of LLVM travel."""
    _python(session, "-m", "pytest", "-m", "tracers", "tests/vm", *session.posargs)


@nox.session
def matrix(session: nox.Session, kernels: str = KERNELS, folder: str = "kernel-report") -> None:
    """Compile the cases, fetch the kernels, build the image, run the matrix and show it."""
    cases(session)
    _python(session, "-m", "pytest", "--kernels", kernels, "--kernel-report", folder, "cases", *session.posargs)


@nox.session
def missing_btf(session: nox.Session) -> None:
    """Make cases/btf: what the cases need of the BTF that Debian's 32-bit kernels lack (or those given after --).

    pahole makes it of their debug packages: 2 GB, once a release.
    """
    cases(session)
    _python(session, "-m", "tests.missing_btf", *session.posargs)


@nox.session
def support(session: nox.Session) -> None:
    """Write docs/support.md from a run of the matrix, and of the newest kernels."""
    folder = session.create_tmp()
    matrix(session, f"{KERNELS},{NEWEST},{ARCHITECTURES}", folder)
    _python(session, "-m", "tests.report.test_support", f"{folder}/results.json")


@nox.session
def pictures(session: nox.Session, kernels: str = KERNELS) -> None:
    """Make the pictures of docs/report.md from a run of the cases' objects, without what the cases expect of them."""
    cases(session)
    folder = session.create_tmp()
    own = sorted(map(str, Path("cases").glob("*/build/x86_64/*.o")))
    arguments = ["run", *own, "--kernels", kernels, "--report", folder]
    session.run(sys.executable, "-m", "everykernel", *arguments, external=True, success_codes=[0, 1])
    _python(session, "-m", "tests.report.pictures", folder)


@nox.session
def page(session: nox.Session) -> None:
    """Measure in Chromium how long the page of 200 objects on 20 kernels takes to open (or others after --)."""
    _python(session, "-m", "tests.report.speed", *session.posargs)


@nox.session
def features(session: nox.Session) -> None:
    """Write docs/kernel-features.md from what each kernel of the catalogue answers in a guest."""
    _python(session, "-m", "tests.features")


@nox.session
def layouts(session: nox.Session) -> None:
    """Run the matrix on kernels from each package layout of the archive."""
    cases(session)
    _python(session, "-m", "pytest", "--kernels", ALL_LAYOUTS, "cases", *session.posargs)


@nox.session
def architectures(session: nox.Session) -> None:
    """Run the matrix on kernels of every architecture (half an hour on two cores; QEMU of each is needed)."""
    matrix(session, ARCHITECTURES, "kernel-report-architectures")


@nox.session
def bare(session: nox.Session) -> None:
    """Compare the loader on the host with the loader in the guest: every case and 100 objects, on 6.1, armhf and s390x.

    Or on SPEC... given after -- (an hour on two cores; QEMU of each architecture is needed).
    """
    cases(session)
    _python(session, "-m", "tests.bare", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure relocations, objects of others, boot, restore, case and matrix, beside libbpf and virtme-ng."""
    cases(session)
    _python(session, "-m", "tests.conformance.bench")
    _python(session, "-m", "tests.conformance.bench_run")
    _python(session, "-m", "tests.conformance.bench_before")
    _python(session, "-m", "everykernel.bench", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build sdist and wheel, and try the README's example with nothing but the wheel installed."""
    cases(session)
    _python(session, "-m", "pytest", "-m", "wheel", "tests/test_wheel.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the docs site into .cache/site, strictly: a link that leads nowhere is an error."""
    _python(session, "-m", "tests.docs", *session.posargs)


@nox.session
def examples(session: nox.Session) -> None:
    """Gate the repositories of docs/examples, and one that init wrote, with the wheel alone; green, then broken."""
    cases(session)
    _python(session, "-m", "pytest", "-m", "examples", "tests/examples", *session.posargs)


@nox.session
def reference(session: nox.Session) -> None:
    """Compare with libbpf what can be compared in minutes: all relocations, and the loads of our own cases on 6.1."""
    cases(session)
    others = "--ignore=tests/conformance/test_architectures.py"  # conformance_architectures has guests of these
    files = ["-n", "2", "--dist", "loadfile", "tests/conformance", others]
    own = sorted(map(str, Path("cases").glob("*/build/x86_64/*.o")))
    with _beside(session, "-m", "tests.conformance", "relocate"):  # which keeps one core busy
        _python(session, "-m", "pytest", "-m", "conformance", *files)
        _python(session, "-m", "tests.conformance", "load", *own, "--kernels", "6.1")


@nox.session
def conformance(session: nox.Session) -> None:
    """Compare relocations and loads with libbpf, and our rules with each real loader, on foreign objects and our own.

    Or on OBJECT... given after --.
    """
    cases(session)
    _python(session, "-m", "tests.conformance", *session.posargs)
    if not session.posargs:
        _python(session, "-m", "tests.conformance", "loaders")
        _python(session, "-m", "tests.conformance", "reversals")
        _python(session, "-m", "tests.conformance.misreads")


@nox.session
def conformance_architectures(session: nox.Session) -> None:
    """Compare likewise on kernels of arm64 and s390x, with objects and libraries for each (QEMU of each is needed)."""
    cases(session)
    arguments = ["--architectures", *session.posargs]
    _python(session, "-m", "pytest", "-m", "conformance", "tests/conformance/test_architectures.py")
    _python(session, "-m", "tests.conformance", *arguments)
    _python(session, "-m", "tests.conformance", "loaders", *arguments)


@nox.session
@nox.parametrize("target", ["objects", "gate", "stream", "cells", "files", "inside"])
def fuzz(session: nox.Session, target: str) -> None:
    """Fuzz objects, answers of guests, cells or files for ten minutes each, from the corpus that the tests replay."""
    found = session.create_tmp()
    _python(session, "-m", "pip", "install", "-q", "-e", ".[fuzz]")
    _python(session, "-m", "tests.fuzz", target, "--seeds", found)
    corpus = Path("tests/fuzz/corpus") / target
    _python(session, "-m", "tests.fuzz", target, found, str(corpus), "-max_total_time=600", *session.posargs)


@nox.session
def cluster(session: nox.Session) -> None:
    """Load 800 cells on workers in network namespaces (as root), two of which are lost half way."""
    cases(session)
    _python(session, "-m", "tests.cluster.namespaces", *(session.posargs or ["800"]))


@nox.session
def cluster_scale(session: nox.Session) -> None:
    """Measure what a cluster costs a cell in time and memory, by the slope from 1,000 to 10,000 cells."""
    _python(session, "-m", "tests.cluster.scale", *session.posargs)


@nox.session
def lies(session: nox.Session) -> None:
    """Change 20,000 answers of recorded guests in runs of the command and of pytest, and check what comes of it."""
    _python(session, "-m", "tests.fuzz.run", *session.posargs)


@nox.session
def hostile(session: nox.Session) -> None:
    """Relocate, load and attach 2,000 damaged objects, foreign and our own, in guests of four kernels."""
    cases(session)
    _python(session, "-m", "tests.fuzz.hostile", *session.posargs)
