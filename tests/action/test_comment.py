"""The comment on a pull request: one, of results alone, whatever a fork's artifact says."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from tests import faking
from tests.action.runner import ROOT, Runner

from everykernel import cli

EVENT = {
    "event.workflow_run.head_branch": "topic",
    "event.workflow_run.head_repository.owner.login": "forker",
    "event.workflow_run.head_sha": "a" * 40,
    "event.workflow_run.html_url": "https://github.com/someone/tool/actions/runs/7",
    "event.workflow_run.id": "7",
}
DOWNLOAD = "actions/download-artifact"
MARKER = "<!-- everykernel: kernel-report -->"
# GitHub's client: answers from files called after the request, keeps what is sent.
GH = """
name=$(echo "$2" | tr '/?=&' '____')
[[ " $* " != *" --input "* ]] || cat >"$ANSWERS/sent-$name.json"
[ -f "$ANSWERS/$name.json" ] || { echo "gh: Not Found (HTTP 404)" >&2; exit 1; }
cat "$ANSWERS/$name.json"
"""
# An environment that was made before: this test's own Python and command; nothing is installed.
VENV = f"""
[ "$1 $2" = "-m venv" ] || exec {sys.executable} "$@"
mkdir -p "$3/bin"
printf '#!/bin/bash\\n[ "$1 $2" = "-m pip" ] || exec {sys.executable} "$@"\\n' >"$3/bin/python"
printf '#!/bin/bash\\nexec {sys.executable} -m everykernel "$@"\\n' >"$3/bin/everykernel"
chmod +x "$3/bin/python" "$3/bin/everykernel"
"""
PULLS_PATH = "gh api repos/someone/tool/pulls"
PULLS = "repos_someone_tool_pulls"
COMMENTS = "repos_someone_tool_issues_12_comments"


class World(Runner):
    """The action that comments, with a GitHub of files."""

    def __init__(self, folder: Path) -> None:
        super().__init__(ROOT / "comment", folder, github=EVENT)
        self.answers = folder / "answers"
        self.answers.mkdir()
        self.stand("gh", GH)
        self.stand("snake", VENV)
        self.answer(PULLS, [{"number": 12, "head": {"sha": "a" * 40}}])
        self.answer(f"{COMMENTS}_per_page_100", [[]])
        self.answer(COMMENTS, {})
        self.stands[DOWNLOAD] = self._download
        self.artifact: dict[str, str] = {}

    def answer(self, name: str, value: Any) -> None:
        (self.answers / f"{name}.json").write_text(json.dumps(value))

    def sent(self, name: str) -> str:
        body: str = json.loads((self.answers / f"sent-{name}.json").read_text())["body"]
        return body

    def go(self) -> dict[str, str]:
        return self.run({"python": "snake"}, {"ANSWERS": str(self.answers)})

    def _download(self, given: dict[str, str]) -> dict[str, str]:
        folder = Path(given["path"])
        folder.mkdir(parents=True)
        for name, text in self.artifact.items():
            (folder / name).write_text(text)
        return {}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A pull request of a fork, whose run left a report of two cells."""
    made = World(tmp_path)
    with monkeypatch.context() as patched:
        faking.install(patched)
        patched.chdir(tmp_path)
        faking.objects(tmp_path, good={}, bad={"load": faking.REJECTED})
        objects = [f"{name}.bpf.o" for name in ("good", "bad")]
        assert cli.main(["run", *objects, "--kernels", "6.1", "--report", "out"]) == 1
    made.artifact = {"results.json": (tmp_path / "out/results.json").read_text()}
    return made


def test_the_results_become_a_comment(world: World) -> None:
    """On the pull request whose newest commit it was, which neither the artifact nor the fork names."""
    assert world.go() == {"number": "12"}
    assert world.failed == []
    said = world.sent(COMMENTS)
    assert said.startswith(f"{MARKER}\n")
    assert "bad" in said
    assert "verifier-rejected" in said
    assert said.endswith("[The run, with all evidence](https://github.com/someone/tool/actions/runs/7)\n")
    first = world.called()[1]
    assert first.endswith(f"{PULLS_PATH} --method GET -f state=open -f head=forker:topic -f per_page=100")
    assert world.used[DOWNLOAD]["run-id"] == "7"


def test_the_comment_that_is_there_is_written_over(world: World) -> None:
    """Ours alone: of another report, and somebody's who copied the marker, stay."""
    bot = {"login": "github-actions[bot]"}
    comments = [
        {"id": 1, "user": {"login": "mallory"}, "body": f"{MARKER} mine"},
        {"id": 2, "user": bot, "body": "<!-- everykernel: other -->"},
        {"id": 3, "user": None, "body": None},
        {"id": 4, "user": bot, "body": f"{MARKER}\nold"},
    ]
    world.answer(f"{COMMENTS}_per_page_100", [comments[:2], comments[2:]])
    world.answer("repos_someone_tool_issues_comments_4", {})
    world.go()
    assert world.failed == []
    assert world.sent("repos_someone_tool_issues_comments_4").startswith(MARKER)
    assert not (world.answers / f"sent-{COMMENTS}.json").exists()


def test_a_pull_request_that_moved_on_gets_none(world: World) -> None:
    """The results are not of what it is now; nothing is fetched either."""
    world.answer(PULLS, [{"number": 12, "head": {"sha": "b" * 40}}])
    assert world.go() == {"number": ""}
    assert "the pull request has moved on" in world.step("Find the pull request").output
    assert world.step("Take the report").outcome == world.step("Comment").outcome == "skipped"
    assert DOWNLOAD not in world.used


def changed(world: World, **fields: str) -> str:
    """The report's results with other words in the row of the object that failed."""
    data = json.loads(world.artifact["results.json"])
    next(result for result in data["results"] if result["outcome"] == "failed").update(fields)  # in order of their end
    return json.dumps(data)


@pytest.mark.parametrize(
    ("artifact", "told"),
    [
        (lambda world: {"summary.md": "# Trust me"}, "the artifact has no results.json"),
        (lambda world: {"results.json": "{"}, "the artifact's results.json is none of ours"),
        (lambda world: {"results.json": '{"schema": "other/1"}'}, "the artifact's results.json is none of ours"),
        (lambda world: {"results.json": changed(world, stages="no")}, "the artifact's results.json is none of ours"),
    ],
)
def test_what_is_no_report_of_ours_is_refused(
    world: World, artifact: Callable[[World], dict[str, str]], told: str
) -> None:
    """Nothing of it is posted."""
    world.artifact = artifact(world)
    world.go()
    assert world.failed == ["Comment"]
    assert told in world.step("Comment").output
    assert not list(world.answers.glob("sent-*"))


def test_a_link_in_the_place_of_results_is_refused(world: World, tmp_path: Path) -> None:
    """What it leads to is the runner's."""
    (tmp_path / "secret").write_text(world.artifact["results.json"])

    def download(given: dict[str, str]) -> dict[str, str]:
        Path(given["path"]).mkdir(parents=True)
        (Path(given["path"]) / "results.json").symlink_to(tmp_path / "secret")
        return {}

    world.stands[DOWNLOAD] = download
    world.go()
    assert "the artifact has no results.json" in world.step("Comment").output


def test_a_poisoned_artifact_says_nothing_of_its_own(world: World) -> None:
    """Its Markdown is not taken; names and messages in its results stay text, and call nobody."""
    evil = "[free](https://evil.example) ![x](https://evil.example/x.png) @maintainer <img src=x> <!-- "
    world.artifact = {"summary.md": evil, "matrix.md": evil, "results.json": changed(world, case=evil)}
    world.go()
    assert world.failed == []
    said = world.sent(COMMENTS)
    assert "@maintainer" not in said
    shown = MarkdownIt("gfm-like", {"linkify": False}).render(said)
    assert shown.count("free") >= 2  # in the table, and in the block that says why
    assert re.findall(r'(?:href|src)="([^"]*)"', shown) == [EVENT["event.workflow_run.html_url"]]
    assert "<img" not in shown
    assert shown.count("<!--") == 1


def test_a_comment_has_room_for_so_much(world: World) -> None:
    """What GitHub would refuse is cut at a line, and says so."""
    data = json.loads(world.artifact["results.json"])
    failed = next(result for result in data["results"] if result["outcome"] == "failed")
    data["results"] = [dict(failed, case=f"case {n} {'x' * 200}") for n in range(900)]
    world.artifact = {"results.json": json.dumps(data)}
    world.go()
    assert world.failed == []
    assert 60_000 < len(world.sent(COMMENTS)) <= 65_536
    assert "**This is not all of it.**" in world.sent(COMMENTS)


def test_what_github_refuses_is_told(world: World) -> None:
    """In its own words, on one line."""
    (world.answers / f"{COMMENTS}.json").unlink()
    world.go()
    expected = (
        "::error title=everykernel::GitHub refused repos/someone/tool/issues/12/comments: gh: Not Found (HTTP 404)"
    )
    assert expected in world.step("Comment").output
    assert world.failed == ["Comment"]
