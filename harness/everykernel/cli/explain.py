"""``everykernel explain``: what an object asks for that a kernel does not have, in words, and what would work."""

from __future__ import annotations

from pathlib import Path

import click

from everykernel import core, wire
from everykernel.btf.naming import printable
from everykernel.cli import choices
from everykernel.cli.misreads import Looking
from everykernel.cli.modules import with_modules
from everykernel.cli.sources import Source, all_sources, read_objects
from everykernel.core import idioms
from everykernel.core.explain import Explanation, together
from everykernel.core.explain import explain as explain_fixup
from everykernel.errors import CaseError
from everykernel.object import ObjectSpec
from everykernel.report import explain as report
from everykernel.report import misreads, screen
from everykernel.report.relocations import Answer, Ask


@click.command()
@click.argument("objects", metavar="OBJ...", type=click.Path(path_type=Path), nargs=-1, required=True)
@choices.btf_sources
@click.option("--strict", is_flag=True, help="Exit code 1 also where a path leads to what a kernel lacks.")
def explain(objects: tuple[Path, ...], btf: tuple[str, ...], kernel_list: str | None, strict: bool) -> int:
    """Explain every access of OBJ that a kernel lacks, refuses or answers with something else, and the idiom for both.

    OBJ is a compiled object, or a file that holds some (a program, a library). Nothing is booted. Exit code 1 if libbpf
    would refuse a program on one of the kernels.

    Example: everykernel explain mytool.bpf.o --kernels 5.10..7.3
    """
    out = screen.Screen(soft_wrap=True)
    found = all_sources(btf, kernel_list)
    labels = [source.label for source in found]
    refused = lacking = False
    specs = [spec for path in objects for spec in read_objects(path)]
    for spec in specs:
        subjects = _Subjects(spec, found)
        refused |= subjects.refused
        lacking |= subjects.lacking
        if len(specs) > 1:
            out.print(screen.text(spec.name, "bold underline"), end="\n\n")
        told = misreads.of_object(subjects.misread)
        if not subjects.found and not told:
            out.print("the object has no CO-RE relocations")
        for line in report.explained({str(ask): subject for ask, subject in subjects.found.items()}, labels):
            out.print(line)
        for line in report.together(subjects.together, labels):
            out.print(line)
        for line in report.misread(told, subjects.idioms, subjects.unknown):
            out.print(line)
    return CaseError.exit_code if refused or (strict and lacking) else 0


_OF_OFFSETS = frozenset({"byte_sz", "signed", "lshift_u64", "rshift_u64"})  # asked beside an offset


class _Subjects:
    """What an object asks for, each with what every kernel has.

    Attributes:
        found: by what is asked.
        refused: whether libbpf would refuse a program on one of the kernels.
        lacking: whether a path leads to an access that one of the kernels has no answer to.
        misread: by kernel, what programs would misread there.
        together: what is amiss only where all programs are loaded together, as libbpf does it: in words → kernels.
        idioms: C that reads what is misread, each once.
        unknown: kernel → the tracepoints whose layout is not known there.
    """

    def __init__(self, spec: ObjectSpec, sources: list[Source]) -> None:
        self.found: dict[Ask, report.Subject] = {}
        self.refused = False
        self.lacking = False
        self.misread: list[tuple[str, list[wire.Misread]]] = []
        self.together: dict[str, list[str]] = {}
        self.idioms: dict[str, None] = {}
        self.unknown: dict[str, list[str]] = {}
        self._spec = spec
        if spec.btf is None:
            return
        targets = {source.label: with_modules(spec, source) for source in sources}
        for source in sources:
            others = [target for label, target in targets.items() if label != source.label]
            self._look(source, targets[source.label], others)
        for ask in [ask for ask in self.found if ask.kind in _OF_OFFSETS]:
            offset = self.found.get(Ask("byte_off", ask.access))
            if offset is not None and offset.amiss:  # said there
                del self.found[ask]

    def _look(self, source: Source, target: core.Target, others: list[core.Target]) -> None:
        """Relocate against one kernel, and note what comes of each record."""
        spec = self._spec
        assert spec.btf is not None
        session, looking = core.Session(spec.btf, target), Looking(spec, source)
        explained: dict[Ask, tuple[core.Fixup, Explanation]] = {}
        for program in spec.programs:
            relocated = core.relocate_program(spec, program, session)
            looking.add(program, relocated)
            dead = looking.dead(program, relocated)
            for applied in relocated.applied:
                fixup = applied.fixup
                ask = Ask(fixup.kind, fixup.access)
                subject = self.found.setdefault(ask, report.Subject(str(ask)))
                subject.programs.append(printable(applied.function.name))
                if (applied.function.name, applied.insn) not in dead:
                    subject.reached.setdefault(source.label, {})[printable(program.name)] = None
                    self.lacking |= fixup.outcome != core.PATCHED
                if ask not in explained or (explained[ask][0].outcome == core.PATCHED != fixup.outcome):
                    explained[ask] = fixup, explain_fixup(fixup, spec.btf, target, others)
        for ask, (fixup, explanation) in explained.items():
            subject = self.found[ask]
            self.refused |= fixup.outcome == core.FAILED
            words = Answer(fixup.outcome, fixup.target).text(fixup.kind)
            if fixup.btf not in ("", source.btf.name):
                subject.modules.setdefault(fixup.btf, []).append(source.label)
            report.note(subject, source.label, fixup, explanation, words)
            subject.idiom = together(list(subject.amiss), fixup, spec.btf)
        self._together(source, target, others)
        self.misread.append((source.label, looking.misreads))
        for misread in looking.misreads:
            access, _, enumerator = misread["access"].partition(" == ")
            known = explained.get(Ask("byte_off", access))
            idiom = idioms.of_misread(known[0].paths[0], enumerator) if known is not None and known[0].paths else ""
            if idiom:
                self.idioms[idiom] = None
        if looking.unknown:
            self.unknown[source.label] = list(looking.unknown)

    def _together(self, source: Source, target: core.Target, others: list[core.Target]) -> None:
        """Note what one program's accesses take from another's: libbpf's memory of candidates is the object's."""
        spec = self._spec
        assert spec.btf is not None
        session = core.Session(spec.btf, target)
        programs = [program for program in spec.programs if program.autoload]
        for applied in core.relocate_together(spec, programs, session).applied:
            fixup = applied.fixup
            alone = self.found[Ask(fixup.kind, fixup.access)].fits
            if session.narrowed and fixup.outcome != core.PATCHED and source.label in alone:
                has = explain_fixup(fixup, spec.btf, target, others).has
                labels = self.together.setdefault(f"{printable(applied.function.name)}: {fixup.access}: {has}", [])
                labels += [source.label] if source.label not in labels else []
