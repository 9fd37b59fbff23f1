"""A runner of composite actions: their steps in order, with the files and variables that GitHub's runner gives them.

What is written by others (``uses:``) is stood in by functions. Expressions are those that our actions use: inputs,
steps' outputs and outcomes, ``&&``, ``||``, ``==``, ``!=`` and ``always()``.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_NAME = re.compile(r"\b(?:inputs|steps|github|runner)(?:\.[A-Za-z_-]+)+")
Stand = Callable[[dict[str, str]], Mapping[str, str]]


def load(path: Path) -> Any:
    """A YAML file as plain data."""
    return YAML(typ="safe").load(path)


@dataclass
class Step:
    """What became of a step."""

    name: str
    outcome: str
    output: str = ""
    outputs: dict[str, str] = field(default_factory=dict)


class Runner:
    """Runs the action in a folder, for a workspace, with stand-ins first on PATH and for what others wrote."""

    def __init__(self, action: Path, folder: Path, *, github: Mapping[str, str] | None = None) -> None:
        self.action = load(action / "action.yml")
        self.workspace = folder / "workspace"
        self.temp = folder / "temp"
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.stands: dict[str, Stand] = {}
        self.used: dict[str, dict[str, str]] = {}  # by action of others, what it was last given
        self.steps: list[Step] = []
        self.summary = ""
        self._ids: dict[str, Step] = {}
        self._github = {"action_path": str(action), "token": "a-token", **(github or {})}
        self._path = action
        for made in (self.workspace, self.temp, self.bin):
            made.mkdir(parents=True)

    def stand(self, name: str, script: str) -> None:
        """Put a stand-in for a program first on PATH; $LOG is where it may say how it was called."""
        path = self.bin / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>"$LOG"\n{script}\n')
        path.chmod(0o755)

    def called(self) -> list[str]:
        """How the stand-ins were called, in order."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def run(self, inputs: Mapping[str, str], env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Run all steps; return the action's outputs. A step that fails leaves only those that always run."""
        given = {name: one.get("default", "") for name, one in self.action["inputs"].items()} | dict(inputs)
        assert set(given) == set(self.action["inputs"]), "an input that the action does not have"
        self._inputs = {name: self._text(str(value)) for name, value in given.items()}
        failed = False
        for number, step in enumerate(self.action["runs"]["steps"]):
            condition = str(step.get("if", "true"))
            wanted = self._value(condition) if not failed or "always()" in condition else ""
            found = self._step(step, number, env or {}) if wanted else Step(step["name"], "skipped")
            failed = failed or found.outcome == "failure"
            self.steps.append(found)
            if "id" in step:
                self._ids[step["id"]] = found
        return {name: self._text(one["value"]) for name, one in self.action["outputs"].items()}

    def step(self, name: str) -> Step:
        """What became of the step of that name."""
        return next(step for step in self.steps if step.name == name)

    @property
    def failed(self) -> list[str]:
        """The names of the steps that failed."""
        return [step.name for step in self.steps if step.outcome == "failure"]

    def _step(self, step: dict[str, Any], number: int, env: Mapping[str, str]) -> Step:
        if "uses" in step:
            given = {name: self._text(str(value)) for name, value in step.get("with", {}).items()}
            name = step["uses"].partition("@")[0]
            self.used[name] = given
            outputs = self.stands[name](given) if name in self.stands else {}
            return Step(step["name"], "success", outputs=dict(outputs))
        files = {
            name: self.temp / f"{name}-{number}" for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY")
        }
        for path in files.values():
            path.touch()
        own = {name: self._text(str(value)) for name, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.workspace / self._text(step.get("working-directory", ".")),
            env={
                **os.environ,
                "PATH": f"{self.bin}:{os.environ['PATH']}",
                "LOG": str(self.log),
                "GITHUB_ACTION_PATH": str(self._path),
                "GITHUB_REPOSITORY": "someone/tool",
                "GITHUB_WORKSPACE": str(self.workspace),
                "GITHUB_JOB": "test",
                "GITHUB_RUN_ID": "7",
                "GITHUB_RUN_ATTEMPT": "1",
                "RUNNER_ARCH": "X64",
                "RUNNER_TEMP": str(self.temp),
                **{name: str(path) for name, path in files.items()},
                **env,
                **own,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        outcome = "failure" if done.returncode else "success"
        return Step(step["name"], outcome, done.stdout, outputs_of(files["GITHUB_OUTPUT"]))

    def _text(self, text: str) -> str:
        return _EXPRESSION.sub(lambda found: self._value(found[1]), text)

    def _value(self, expression: str) -> str:
        """The value of an expression, as text; false is ''."""
        names: dict[str, str] = {}

        def named(found: re.Match[str]) -> str:
            names[f"v{len(names)}"] = self._look(found[0])
            return f"v{len(names) - 1}"

        python = _NAME.sub(named, expression).replace("&&", " and ").replace("||", " or ").replace("always()", "'true'")
        value = eval(python, {"__builtins__": {}}, {**names, "true": "true"})
        return "" if value is False else str(value)

    def _look(self, name: str) -> str:
        kind, *rest = name.split(".")
        if kind == "inputs":
            return self._inputs[rest[0]]
        if kind == "github":
            return self._github[".".join(rest)]
        if kind == "runner":
            return {"temp": str(self.temp)}[rest[0]]
        found = self._ids.get(rest[0])
        if rest[1] == "outcome":
            return found.outcome if found else ""
        return found.outputs.get(rest[2], "") if found else ""


def outputs_of(path: Path) -> dict[str, str]:
    """What a step wrote to GITHUB_OUTPUT: ``name=value``, or ``name<<END``, lines, ``END``."""
    found, lines = {}, iter(path.read_text().splitlines())
    for line in lines:
        name, equals, value = line.partition("=")
        if "<<" in name:
            name, _, end = line.partition("<<")
            equals, value = "=", "\n".join(iter(lambda end=end: next(lines), end))  # type: ignore[misc]
        assert equals, f"{line!r} is no output"
        found[name] = value
    return found
