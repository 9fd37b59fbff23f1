"""Compile the cases' BPF programs: ``cases/<name>/<stem>.bpf.c`` to ``cases/<name>/build/<arch>/<stem>.bpf.o``.

An object is compiled once for each architecture, since registers and tracepoint contexts differ; it is compiled again
when its source, a header, the flags or the compiler have changed, which a record beside it tells
(``<stem>.bpf.o.json``). Objects appear whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from everykernel import folders
from everykernel.architectures import ARCHITECTURES, Architecture
from everykernel.errors import CompileFailed, HarnessError, ToolMissing, UsageError

SUFFIX = ".bpf.c"
_RELEASES = range(19, 24)  # of LLVM, in Debian's names
COMPILERS = (*(f"clang-{n}" for n in _RELEASES), "clang")
STRIPPERS = (*(f"llvm-strip-{n}" for n in _RELEASES), "llvm-strip")
OLDEST = 16  # clang 14 crashes on type-matches relocations and emits no 64-bit enums
# v3 is the instruction set of Linux 5.1 and later as long as atomics return nothing (those that do came in 5.12).
FLAGS = (
    "-g",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Wno-unused-parameter",
    "-Werror",
    "-mcpu=v3",
    "-fno-addrsig",
)


@dataclass(frozen=True)
class Job:
    """One object to compile: ``source`` for ``arch`` into ``target``."""

    source: Path
    arch: Architecture
    target: Path


@dataclass(frozen=True)
class Result:
    """What became of a job: ``compiled`` is False where the object was up to date."""

    job: Job
    compiled: bool


def jobs(cases: Sequence[str] = (), *, folder: Path | None = None) -> list[Job]:
    """Return what there is to compile for these cases (names, or paths of their folders; none: all of ``folder``).

    Raises:
        UsageError: a case that is not there, or that has no source.
    """
    folder = folders.data("cases") if folder is None else folder
    chosen = [_case_folder(case, folder) for case in cases] or sorted(p.parent for p in folder.glob("*/case.toml"))
    found = []
    for case in chosen:
        sources = sorted(case.glob(f"*{SUFFIX}"))
        if cases and not sources:
            raise UsageError(f"no *{SUFFIX} in it", where=str(case))
        for source in sources:
            name = f"{source.name.removesuffix(SUFFIX)}.bpf.o"
            found += [Job(source, arch, case / "build" / arch.name / name) for arch in ARCHITECTURES.values()]
    return found


def _case_folder(case: str, folder: Path) -> Path:
    for candidate in (folder / case, Path(case), Path(case).parent):
        if (candidate / "case.toml").is_file():
            return candidate.absolute()
    raise UsageError(f"no case {case!r}", where=str(folder), remedy="a case is a folder with a case.toml")


def compile_all(todo: Iterable[Job], *, report: Callable[[Result], None] = lambda result: None) -> list[Result]:
    """Compile what is not up to date, as many at once as there are processors; ``report`` hears of each as it ends.

    Raises:
        ToolMissing: clang, llvm-strip or libbpf's headers are not installed.
        CompileFailed: the compiler refused a source; all others were compiled all the same.
        HarnessError: the objects' folder cannot be written.
    """

    def attempt(job: Job) -> Result | CompileFailed:
        try:
            return compile_one(job)
        except CompileFailed as e:
            return e
        except OSError as e:
            where = str(e.filename or job.target)
            raise HarnessError(f"cannot be written: {e.strerror}", where=where, remedy="compile a copy of it") from e

    results: list[Result] = []
    failures: list[CompileFailed] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for outcome in pool.map(attempt, todo):
            if isinstance(outcome, CompileFailed):
                failures.append(outcome)
            else:
                report(outcome)
                results.append(outcome)
    if failures:
        raise _summed_up(failures)
    return results


def _summed_up(failures: list[CompileFailed]) -> CompileFailed:
    first, *others = failures
    message = f"{first.message} (and {len(others)} more objects failed)" if others else first.message
    output = "\n".join(failure.output for failure in failures)
    return CompileFailed(message, where=first.where, output=output)


def compile_one(job: Job) -> Result:
    """Compile one object unless it is up to date; raise as `compile_all` does."""
    record = job.target.with_name(f"{job.target.name}.json")
    command, version = _command(job), _version(_tool(COMPILERS))
    if job.target.is_file() and _up_to_date(record, command, version):
        return Result(job, compiled=False)
    job.target.parent.mkdir(parents=True, exist_ok=True)
    record.unlink(missing_ok=True)  # never an old object's record beside a new object …
    job.target.unlink(missing_ok=True)  # … nor an old object beside a source that does not compile
    with tempfile.TemporaryDirectory(dir=job.target.parent, prefix=".compile-") as scratch:
        made, depends = Path(scratch) / job.target.name, Path(scratch) / "depends"
        _run([*command, "-MD", "-MF", str(depends), "-o", str(made)], job)
        _run([_tool(STRIPPERS), "--strip-debug", str(made)], job)  # drops DWARF, keeps BTF
        digests = {str(path): _digest(path) for path in _prerequisites(depends, job)}
        state = {"compiler": version, "command": command, "files": digests}
        (Path(scratch) / "record").write_text(json.dumps(state, indent=1))
        made.replace(job.target)
        (Path(scratch) / "record").replace(record)
    return Result(job, compiled=True)


def _command(job: Job) -> list[str]:
    """Return the compiler's command without what a run adds; it runs in the folder above the cases' folder.

    So BTF's line information names ``cases/<name>/prog.bpf.c``, wherever the checkout is.
    """
    top = _top(job)
    command = [_tool(COMPILERS), *FLAGS, "-target", job.arch.bpf_target, f"-ffile-prefix-map={top}="]
    command += [f"-D{job.arch.bpf_target_define}", *job.arch.compile_flags]
    command += ["-I", str(folders.data("cases") / "include"), "-idirafter", str(_kernel_headers())]
    return [*command, "-c", str(job.source.absolute().relative_to(top))]


def _top(job: Job) -> Path:
    return job.source.absolute().parent.parent.parent


def _run(command: list[str], job: Job) -> None:
    ran = subprocess.run(command, cwd=_top(job), capture_output=True, text=True, check=False)
    if ran.returncode:
        raise CompileFailed(
            f"{Path(command[0]).name} refused it for {job.arch.name}: {_first_error(ran.stderr)}",
            where=str(job.source),
            output=ran.stderr,
        )


def _first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if lines else "it says nothing")


@cache
def _tool(names: tuple[str, ...]) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    raise ToolMissing(f"none of {', '.join(names)} is installed", remedy="install clang-19 and llvm-19")


@cache
def _version(compiler: str) -> str:
    """Return the compiler's own word on its version; raise ToolMissing for one that is too old."""
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout.partition("\n")[0]
    major = re.search(r"version (\d+)", said)
    if major is None or int(major[1]) < OLDEST:
        raise ToolMissing(f"{said!r} is not clang {OLDEST} or newer", where=compiler, remedy="install clang-19")
    return said


@cache
def _kernel_headers() -> Path:
    """Return the folder that holds <asm/types.h>: Debian keeps it apart for each architecture."""
    usr = Path("/usr/include")
    if not (usr / "bpf" / "bpf_core_read.h").is_file():
        raise ToolMissing("libbpf's headers are not installed", where=str(usr), remedy="install libbpf-dev")
    for folder in (usr, *sorted(usr.glob("*-linux-gnu*"))):
        if (folder / "asm" / "types.h").is_file():
            return folder
    raise ToolMissing("the kernel's headers are not installed", where=str(usr), remedy="install linux-libc-dev")


def _prerequisites(depends: Path, job: Job) -> list[Path]:
    """Return the files that a make rule written by the compiler names, but for its target."""
    rule = depends.read_text().replace("\\\n", " ").partition(": ")[2]
    words = re.split(r"(?<!\\)\s+", rule.strip())
    return [_top(job) / re.sub(r"\\([ #])", r"\1", word).replace("$$", "$") for word in words]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _up_to_date(record: Path, command: list[str], version: str) -> bool:
    try:
        state = json.loads(record.read_text())
        if (state["compiler"], state["command"]) != (version, command):
            return False
        return all(_digest(Path(path)) == digest for path, digest in state["files"].items())
    except (OSError, ValueError, KeyError, AttributeError):  # no record, or none that we wrote
        return False
