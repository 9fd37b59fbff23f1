"""The loader contract: what a tool's own user space decides before it loads an object, as plain values.

The form is documented in docs/cases.md. Reading is strict, and the same for a case.toml on the host and for keyword
arguments on a target: an unknown key or a value of the wrong type is a UsageError that names the nearest key.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from everykernel.dataclass import dataclass, field
from everykernel.errors import UsageError
from everykernel.object import map_terms, strict
from everykernel.object.map_terms import MapTerms
from everykernel.object.sections import ATTACH_TYPES, PROGRAM_TYPES, RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = (
    "programs", "skip", "may_fail", "targets", "types", "attach_types", "attach", "maps", "globals", "kconfig",
    "variants",
)  # fmt: skip
NEEDS = ("helper", "function", "tracepoint", "btf", "map_type", "program_type")
"""What a variant can ask of a kernel, each found out by a probe (`load.needs`)."""

_VARIANT_KEYS = ("programs", "targets", "needs")


@dataclass(frozen=True)
class Variant:
    """One way to do what its group is for: programs that load together, or not at all.

    Attributes:
        programs: their names; none stands for doing without.
        targets: what they attach to instead of what their sections name.
        needs: what the kernel has to have, by a key of `NEEDS`; the variant is passed over where it does not.
    """

    programs: tuple[str, ...]
    targets: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What records and messages call it: its programs, with the targets that it gives them."""
        names = (f"{p} at {self.targets[p]}" if p in self.targets else p for p in self.programs)
        return ", ".join(names) or "none"


@dataclass(frozen=True)
class Contract:
    """What is decided before an object is loaded.

    Attributes:
        programs: only these load, beside those of variants; None: all.
        skip: these do not.
        may_fail: these are tried, and their refusal fails nothing.
        targets: what programs attach to instead of what their sections name.
        types: program types instead of what sections stand for (bpf_program__set_type).
        attach_types: expected attach types likewise (bpf_program__set_expected_attach_type).
        attach: where programs attach instead of at what their sections name: ``kprobe:tcp_connect``, each as the
            word that a section would begin with, and the rest.
        maps: what is decided about maps, by their names.
        globals: initial values of global variables, by name.
        kconfig: values of configuration externs, as text of a kernel's .config, by name.
        variants: groups, by name: of each, the first variant that the kernel takes is kept.
    """

    programs: Optional[tuple[str, ...]] = None
    skip: tuple[str, ...] = ()
    may_fail: tuple[str, ...] = ()
    targets: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    attach_types: Mapping[str, str] = field(default_factory=dict)
    attach: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    maps: Mapping[str, MapTerms] = field(default_factory=dict)
    globals: Mapping[str, Any] = field(default_factory=dict)
    kconfig: Mapping[str, str] = field(default_factory=dict)
    variants: Mapping[str, tuple[Variant, ...]] = field(default_factory=dict)

    @property
    def grouped(self) -> dict[str, str]:
        """The group of each program that belongs to one."""
        return {p: group for group, variants in self.variants.items() for v in variants for p in v.programs}


def parse(table: Mapping[str, Any], where: str) -> Contract:
    """Return the contract that a table (of a case.toml, or keyword arguments) states; raise UsageError."""
    strict.keys(table, KEYS, where)
    found = Contract(
        programs=strict.names(table, "programs", where) if "programs" in table else None,
        skip=strict.names(table, "skip", where),
        may_fail=strict.names(table, "may_fail", where),
        targets=strict.texts(table, "targets", where),
        types=_words(table, "types", PROGRAM_TYPES[1:], "program type", where),
        attach_types=_words(table, "attach_types", ATTACH_TYPES, "attach type", where),
        attach={
            name: _places(v, f"{where}: attach: {name}") for name, v in strict.table_at(table, "attach", where).items()
        },
        maps={
            name: map_terms.parse(terms, f"{where}: maps.{name}")
            for name, terms in strict.table_at(table, "maps", where).items()
        },
        globals=dict(strict.table_at(table, "globals", where)),
        kconfig={name: _setting(name, v, where) for name, v in strict.table_at(table, "kconfig", where).items()},
        variants={g: _group(v, f"{where}: variants.{g}") for g, v in strict.table_at(table, "variants", where).items()},
    )
    _check(found, where)
    return found


def _check(found: Contract, where: str) -> None:
    """Refuse what contradicts itself: a program that is decided about twice."""
    owner: dict[str, str] = {}
    for group, variants in found.variants.items():
        for name in {p for v in variants for p in v.programs}:
            if owner.setdefault(name, group) != group:
                raise UsageError(f"program {name!r} is in the variants {owner[name]!r} and {group!r}", where=where)
    for key, names in (("skip", found.skip), ("programs", found.programs or ()), ("may_fail", found.may_fail)):
        for name in names:
            if name in owner:
                raise UsageError(f"{key}: program {name!r} belongs to the variants {owner[name]!r}", where=where)
            if key != "skip" and name in found.skip:
                raise UsageError(f"{key}: program {name!r} is skipped", where=where)


def _group(value: Any, where: str) -> tuple[Variant, ...]:
    if not isinstance(value, (list, tuple)) or not value or not all(strict.is_table(v) for v in value):
        raise UsageError("is not a list of tables", where=where, remedy="write [[contract.variants.NAME]]")
    return tuple(_variant(v, f"{where} {number}") for number, v in enumerate(value, 1))


def _variant(table: Mapping[str, Any], where: str) -> Variant:
    strict.keys(table, _VARIANT_KEYS, where)
    if "programs" not in table:
        raise UsageError("has no programs", where=where, remedy="programs = [] stands for doing without")
    programs, targets = strict.names(table, "programs", where), strict.texts(table, "targets", where)
    for name in targets:
        strict.known(name, programs, f"{where}: targets", "program")
    needs = strict.texts(table, "needs", where)
    strict.keys(needs, NEEDS, f"{where}: needs")
    return Variant(programs, targets, needs)


def _words(table: Mapping[str, Any], key: str, words: tuple[str, ...], what: str, where: str) -> dict[str, str]:
    found = strict.texts(table, key, where)
    for name, word in found.items():
        strict.known(word, words, f"{where}: {key}: {name}", what)
    return found


def _places(value: Any, where: str) -> tuple[tuple[str, str], ...]:
    """Return the words and targets of one attach point or of a list of them."""
    texts = value if isinstance(value, (list, tuple)) and value else [value]
    found = []
    for text in texts:
        if not isinstance(text, str):
            raise UsageError(f"{text!r} is no attach point", where=where, remedy='write "kprobe:tcp_connect"')
        word, _, target = text.partition(":")
        strict.known(word, [rule.stem for rule in RULES], where, "kind of attach point")
        found.append((word, target))
    return tuple(found)


def _setting(name: str, value: Any, where: str) -> str:
    """Return a value as a kernel's .config would write it: y, n, m, a number, or text in quotes."""
    if not name.startswith("CONFIG_"):
        raise UsageError(f"kconfig: {name!r} is no CONFIG_ setting", where=where)
    if isinstance(value, bool):
        return "y" if value else "n"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return value if value in ("y", "n", "m") else f'"{value}"'
    raise UsageError(f"kconfig: {name} = {value!r} is neither true, false, a number nor text", where=where)
