"""The actions, hooks and examples of CI files are what the schemas, linters and runners of their services take."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tests.action.runner import ROOT, load

ACTIONS = (ROOT / "action.yml", ROOT / "comment/action.yml")
SCRIPTS = sorted((ROOT / "action").glob("*.sh"))
WORKFLOWS = sorted(ROOT.glob("docs/examples/**/.github/workflows/*.yml"))
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def check(schema: str, *paths: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_actions_fit_githubs_schema() -> None:
    """Both actions are composite actions as GitHub describes them."""
    check("github-actions", *ACTIONS)


def test_workflows_pass_schema_and_actionlint() -> None:
    """Each workflow that we show is one that GitHub takes, shell included."""
    assert len(WORKFLOWS) >= 3
    check("github-workflows", *WORKFLOWS)
    lint(*WORKFLOWS)


def lint(*paths: Path) -> None:
    command = ["go", "tool", "actionlint", "-oneline", *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT / "tests/action/lint", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_what_is_wrong(tmp_path: Path) -> None:
    """The linter is there, and sees an input that goes into shell."""
    bad = tmp_path / "bad.yml"
    step = "run: echo ${{ github.event.issue.title }}"
    text = f"on: issues\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - {step}\n"
    bad.write_text(text)
    with pytest.raises(AssertionError, match="untrusted"):
        lint(bad)


def test_shell_passes_shellcheck() -> None:
    """Not a warning in any step."""
    assert len(SCRIPTS) > 5
    done = subprocess.run(["shellcheck", *map(str, SCRIPTS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", [*ACTIONS, *WORKFLOWS], ids=lambda p: str(p.relative_to(ROOT)))
def test_actions_of_others_are_pinned(path: Path) -> None:
    """By a commit, with its version beside it; our own by a version."""
    uses = [line.strip().removeprefix("- ") for line in path.read_text().splitlines() if "uses:" in line]
    assert uses
    assert all(PINNED.match(line) or line.startswith("uses: everykernel/everykernel") for line in uses)


@pytest.mark.parametrize("path", ACTIONS, ids=lambda p: p.parent.name)
def test_no_expression_reaches_the_shell(path: Path) -> None:
    """What a user, or a pull request, says travels in variables alone; each step runs one file."""
    steps = [step for step in load(path)["runs"]["steps"] if "run" in step]
    assert steps
    for step in steps:
        assert "${{" not in step["run"]
        assert re.search(r"/action/\w+\.(sh|py)\"", step["run"])
        assert step["shell"] == "bash"


@pytest.mark.parametrize("path", ACTIONS, ids=lambda p: p.parent.name)
def test_inputs_are_used_and_documented(path: Path) -> None:
    """Every input is read by a step, and docs/action.md has a row for it, and for each output."""
    action, text = load(path), path.read_text()
    page = (ROOT / "docs/action.md").read_text()
    for name, one in action["inputs"].items():
        assert f"inputs.{name}" in text, name
        assert one["description"]
        assert f"| `{name}` |" in page, name
    for name in action["outputs"]:
        assert f"`{name}`" in page


def test_what_we_show_is_what_the_action_has() -> None:
    """Each use of our actions names inputs that they have, at this version, and so does what init writes."""
    template = ROOT / "harness/everykernel/project/templates/kernels.yml.in"
    written = YAML(typ="safe").load(template.read_text().replace("@BUILD@", "").replace("@TEST@", "tests"))
    tagged = f"@v{tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['version']}"
    seen = 0
    for workflow in [*map(load, WORKFLOWS), written]:
        for job in workflow["jobs"].values():
            for step in job["steps"]:
                if step.get("uses", "").startswith("everykernel/"):
                    name = step["uses"].removesuffix(tagged)
                    action = {"everykernel/everykernel": ACTIONS[0], "everykernel/everykernel/comment": ACTIONS[1]}[
                        name
                    ]
                    assert set(step.get("with", {})) <= set(load(action)["inputs"])
                    seen += 1
    assert seen >= 6


def test_the_hook_is_one_that_pre_commit_takes() -> None:
    """As pre-commit itself reads it."""
    command = [sys.executable, "-m", "pre_commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_each_script_is_a_step() -> None:
    """No file of shell that nothing runs."""
    runs = " ".join(step.get("run", "") for path in ACTIONS for step in load(path)["runs"]["steps"])
    assert all(f"/{script.name}" in runs for script in SCRIPTS)
