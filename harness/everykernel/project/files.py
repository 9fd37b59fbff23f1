"""The files that a repository needs, as values: what each is to hold, and what it holds now.

Templates are files of templates/, in which ``@NAME@`` stands for what differs.
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from everykernel.errors import HarnessError
from everykernel.project import find
from everykernel.project.find import Found

TEST, PYPROJECT, TOX, WORKFLOW = "test_kernels.py", "pyproject.toml", "tox.ini", ".github/workflows/kernels.yml"
_TEMPLATES = Path(__file__).parent / "templates"
_NAME = re.compile(r"@([A-Z]+)@")


@dataclass(frozen=True)
class Answers:
    """What a repository is to be tested with.

    Attributes:
        objects: compiled objects, from the repository's top.
        build: the command that builds them, "" for none; parts are separated by ``&&``.
        kernels: specs.
    """

    objects: tuple[str, ...]
    build: str
    kernels: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """One file.

    Attributes:
        path: where, from the repository's top.
        text: what it is to hold.
        now: what it holds; None where it is not there.
    """

    path: str
    text: str
    now: str | None

    @property
    def adds(self) -> bool:
        """Whether nothing of what is there goes: it is not there, or is continued."""
        return self.now is None or self.text.startswith(self.now)

    def diff(self) -> Iterator[str]:
        """Yield the lines of a unified diff from what is there to what is to be."""
        now = (self.now or "").splitlines()
        yield from difflib.unified_diff(now, self.text.splitlines(), self.path, self.path, lineterm="", n=2)


def factor(kernel: str) -> str:
    """Return what tox calls the environment of a kernel: ``k6.1``, ``k6.1_i386``."""
    return "k" + re.sub(r"[^A-Za-z0-9.]+", "_", kernel)


def plan(top: Path, found: Found, answers: Answers) -> list[File]:
    """Return the files that are to be there, those that have what they need already included."""
    test = f"{found.tests}/{TEST}"
    texts = {test: _test(answers), PYPROJECT: _pyproject(top, found, answers)}
    if found.tox in ("", TOX):
        texts[TOX] = _tox(top, found, answers, test)
    texts[WORKFLOW] = _workflow(answers, test)
    return [File(path, text, _now(top / path)) for path, text in texts.items()]


def write(top: Path, file: File) -> None:
    """Write one file; raise HarnessError where that cannot be done."""
    path = top / file.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, encoding="utf-8")
    except OSError as e:
        raise HarnessError(f"cannot be written: {e.strerror}", where=file.path) from e


def _now(path: Path) -> str | None:
    if not path.exists():
        return None
    return find.text(path)


def _test(answers: Answers) -> str:
    objects = "".join(f"    {json.dumps(name, ensure_ascii=False)},\n" for name in answers.objects)
    return _template(TEST, OBJECTS=objects)


def _pyproject(top: Path, found: Found, answers: Answers) -> str:
    now = find.text(top / PYPROJECT)
    if found.settings:
        return now
    return _after(now, _template(PYPROJECT, KERNELS=json.dumps(list(answers.kernels), ensure_ascii=False)))


def _tox(top: Path, found: Found, answers: Answers, test: str) -> str:
    now = find.text(top / TOX)
    if any("EVERYKERNEL_KERNELS" in line for line in now.splitlines()):
        return now
    names = ",".join(factor(kernel).removeprefix("k") for kernel in answers.kernels)
    commands = _commands(answers.build)
    allowed = sorted({shlex.split(command)[0] for command in commands})
    own = _template(
        TOX,
        BUILD=_lines("commands_pre", [re.sub(r"[{}]", r"\\\g<0>", command) for command in commands]),
        ALLOWED=_lines("allowlist_externals", allowed),
        KERNELS="".join(f"    {factor(kernel)}: EVERYKERNEL_KERNELS = {kernel}\n" for kernel in answers.kernels),
        NAMES=names,
        TEST=test,
    )
    head = "" if now else f"[tox]\nenv_list = k{{{names}}}\n"
    return _after(now, head + "\n" + own if head else own)


def _workflow(answers: Answers, test: str) -> str:
    steps = "".join(f"      - run: {json.dumps(command)}\n" for command in _commands(answers.build))
    return _template("kernels.yml", BUILD=steps, TEST=test)


def _commands(build: str) -> list[str]:
    return [part.strip() for part in build.split("&&") if part.strip()]


def _lines(key: str, values: Sequence[str]) -> str:
    return f"{key} =\n" + "".join(f"    {value}\n" for value in values) if values else ""


def _after(now: str, more: str) -> str:
    """Return a file that is continued."""
    if not now:
        return more.lstrip("\n")
    return now + ("" if now.endswith("\n") else "\n") + "\n" + more.lstrip("\n")


def _template(name: str, **values: str) -> str:
    template = (_TEMPLATES / f"{name}.in").read_text(encoding="utf-8")
    return _NAME.sub(lambda found: values[found[1]], template)
