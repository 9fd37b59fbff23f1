"""``everykernel explain``: what an object asks for that a kernel does not have, in words, and what would work."""

from __future__ import annotations

from pathlib import Path

import click

from everykernel import core
from everykernel.btf.naming import printable
from everykernel.cli import choices
from everykernel.cli.sources import Source, read_object
from everykernel.core.explain import explain as explain_fixup
from everykernel.errors import CaseError
from everykernel.object import ObjectSpec
from everykernel.report import explain as report
from everykernel.report import screen
from everykernel.report.relocations import Answer, Ask


@click.command()
@click.argument("objects", metavar="OBJ...", type=click.Path(path_type=Path), nargs=-1, required=True)
@choices.btf_sources
def explain(objects: tuple[Path, ...], btf: tuple[str, ...], kernel_list: str | None) -> int:
    """Explain every access of OBJ that a kernel lacks or refuses, with what it has instead and the idiom for both.

    Nothing is booted. Exit code 1 if libbpf would refuse a program on one of the kernels.

    Example: everykernel explain mytool.bpf.o --kernels 5.10..7.3
    """
    out = screen.Screen(soft_wrap=True)
    found = choices.all_sources(btf, kernel_list)
    labels = [source.label for source in found]
    refused = False
    for path in objects:
        subjects = _subjects(read_object(path), found)
        refused |= any(e.has.startswith("refused") for s in subjects.values() for e in s.amiss)
        if len(objects) > 1:
            out.print(screen.text(path, "bold underline"), end="\n\n")
        if not subjects:
            out.print("the object has no CO-RE relocations")
        for line in report.explained({str(ask): subject for ask, subject in subjects.items()}, labels):
            out.print(line)
    return CaseError.exit_code if refused else 0


def _subjects(spec: ObjectSpec, found: list[Source]) -> dict[Ask, report.Subject]:
    """Return what an object asks for, each with what every kernel has."""
    subjects: dict[Ask, report.Subject] = {}
    if spec.btf is None:
        return subjects
    for source in found:
        target = core.Target(source.btf)
        session = core.Session(spec.btf, target)
        explained: set[Ask] = set()
        for program in spec.programs:
            for applied in core.relocate_program(spec, program, session).applied:
                fixup = applied.fixup
                ask = Ask(fixup.kind, fixup.access)
                subject = subjects.setdefault(ask, report.Subject(str(ask)))
                subject.programs.append(printable(applied.function.name))
                if ask not in explained:
                    explained.add(ask)
                    words = Answer(fixup.outcome, fixup.target).text(fixup.kind)
                    report.note(subject, source.label, fixup, explain_fixup(fixup, spec.btf, target), words)
    for ask, subject in subjects.items():
        subject.guarded = ask.kind != "field_exists" and Ask("field_exists", ask.access) in subjects
    return subjects
