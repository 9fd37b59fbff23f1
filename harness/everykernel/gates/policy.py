"""What a gate goes by: the project's settings, and what was asked for beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from everykernel.errors import UsageError
from everykernel.gates.baseline import root_of
from everykernel.gates.findings import Deciding, Survey, survey
from everykernel.gates.growth import FLOOR, Growth
from everykernel.gates.rules import Rule
from everykernel.gates.splats import Splats, none
from everykernel.gates.where import KernelSeen, Where
from everykernel.matrix.results import Results


@dataclass(frozen=True)
class Policy:
    """What a gate goes by.

    Attributes:
        baseline: the file, None for none.
        rules: what is promised.
        advisory: kernels whose failures are told and do not decide.
        required: kernels that have to be in the run; where there are some, all others are advisory.
        splats: gives the kernel's warnings that make a cell not green.
        growth: how much programs may grow against an older run.
        partial: whether the run is not of everything.
    """

    baseline: Path | None = None
    rules: tuple[Rule, ...] = ()
    advisory: tuple[Where, ...] = ()
    required: tuple[Where, ...] = ()
    splats: Deciding = none
    growth: Growth | None = None
    partial: bool = False

    @property
    def root(self) -> PurePath:
        """The folder that paths of objects are told from: the baseline's, else the current one."""
        return root_of(self.baseline) if self.baseline is not None else Path.cwd()

    @property
    def asks(self) -> bool:
        """Whether anything is asked for but that cells pass."""
        return bool(self.baseline or self.rules or self.advisory or self.required or self.splats is not none)

    def is_advisory(self, kernel: KernelSeen) -> bool:
        """Return whether what is not green on a kernel does not decide."""
        if any(where.holds(kernel) for where in self.advisory):
            return True
        return bool(self.required) and not any(where.holds(kernel) for where in self.required)

    def survey(self, results: Results) -> Survey:
        """Return what is and what is not green in results, as this policy sees it."""
        return survey(results["results"], results["kernels"], root=self.root, splats=self.splats)


def of_project(
    project: Mapping[str, Any],
    *,
    baseline: Path | None = None,
    partial: bool | None = None,
    require: Sequence[str] = (),
    advisory: Sequence[str] = (),
    max_growth: str = "",
) -> Policy:
    """Return what a gate of a project goes by.

    Args:
        project: the settings, as `settings.read` gives them.
        baseline: the file that was named; the project's own where None.
        partial: whether the run is of a part; None: where the baseline was not named, but is the project's.
        require, advisory: rules and kernels beside the project's.
        max_growth: how much programs may grow, ``20%``; the project's where "".

    Raises UsageError for what is no rule, kernel, regular expression or share.
    """
    named = baseline if baseline is not None else project.get("baseline")
    rules = [*project.get("require", ()), *require]
    told = [*project.get("advisory", ()), *advisory]
    required = tuple(Where.parse(text, "required") for text in project.get("required", ()))
    both = sorted({where.text for where in required} & set(told))
    if both:
        raise UsageError(f"{both[0]!r} is required and advisory", where="advisory", remedy="name it in one of them")
    growth = max_growth or project.get("max-insns-growth", "")
    return Policy(
        baseline=named,
        rules=tuple(Rule.parse(text) for text in dict.fromkeys(rules)),
        advisory=tuple(Where.parse(text, "advisory") for text in told),
        required=required,
        splats=Splats(project.get("allow-splats", ())) if project.get("splats", "warn") == "fail" else none,
        growth=Growth.parse(growth, project.get("insns-floor", FLOOR)) if growth else None,
        partial=baseline is None and named is not None if partial is None else partial,
    )
