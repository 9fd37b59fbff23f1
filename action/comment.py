"""Says what a run's report says in one comment on its pull request, written anew each time.

Runs with a token that may write, over an artifact that anyone's pull request may have made, so nothing of the artifact
is believed: which pull request it is comes from the event and from GitHub, and what is posted is made here, of the
results alone, by everykernel's own views, which check and escape all that they show.

    comment.py find                    writes number=N to GITHUB_OUTPUT; empty where the pull request has moved on
    comment.py post NUMBER FOLDER      FOLDER holds the artifact
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

LARGEST_RESULTS = 256 << 20  # bytes
LARGEST_COMMENT = 65_000  # characters; GitHub takes 65,536
BOT = "github-actions[bot]"


class CommentError(Exception):
    """Stops the comment; the text says why."""


def api(*arguments: str, body: dict[str, Any] | None = None) -> Any:
    """Return what GitHub answers to one request of its client ``gh``; raise CommentError where it refuses."""
    command = ["gh", "api", *arguments, *(["--input", "-"] if body is not None else [])]
    done = subprocess.run(command, input=json.dumps(body) if body else None, capture_output=True, text=True)
    if done.returncode:
        raise CommentError(f"GitHub refused {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return json.loads(done.stdout) if done.stdout.strip() else None


def find() -> str:
    """Return the number of the open pull request whose newest commit the run was of; "" where there is none."""
    sha, branch, owner = (os.environ[name] for name in ("HEAD_SHA", "HEAD_BRANCH", "HEAD_OWNER"))
    path = f"repos/{os.environ['GITHUB_REPOSITORY']}/pulls"
    found = api(path, "--method", "GET", "-f", "state=open", "-f", f"head={owner}:{branch}", "-f", "per_page=100")
    return next((str(one["number"]) for one in found if one["head"]["sha"] == sha), "")


def text(folder: Path, marker: str) -> str:
    """Return the comment about the results in a folder."""
    results = folder / "results.json"
    if results.is_symlink() or not results.is_file():
        raise CommentError("the artifact has no results.json")
    if results.stat().st_size > LARGEST_RESULTS:
        raise CommentError("the artifact's results.json is larger than any of ours")
    views = Path(os.environ["RUNNER_TEMP"]) / "everykernel" / "views"
    command = [str(Path(os.environ["BIN"]) / "everykernel"), "report", "render", str(results), "-o", str(views)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CommentError(f"the artifact's results.json is none of ours: {done.stderr.strip()}")
    summary = (views / "summary.md").read_text(encoding="utf-8").replace("@", "@\N{WORD JOINER}")  # mentions nobody
    run = f"[The run, with all evidence]({os.environ['RUN_URL']})"
    room = LARGEST_COMMENT - len(marker) - len(run) - 100
    if len(summary) > room:
        summary = summary[:room].rpartition("\n")[0] + "\n\n**This is not all of it.**\n"
    return f"{marker}\n{summary}\n{run}\n"


def post(number: str, folder: Path) -> None:
    """Write the comment, over the one that is there already."""
    marker = f"<!-- everykernel: {os.environ['ARTIFACT']} -->"
    body = {"body": text(folder, marker)}
    repository = f"repos/{os.environ['GITHUB_REPOSITORY']}"
    pages = api(f"{repository}/issues/{int(number)}/comments?per_page=100", "--paginate", "--slurp")
    ours = [
        comment["id"]
        for page in pages
        for comment in page
        if (comment["user"] or {}).get("login") == BOT and (comment["body"] or "").startswith(marker)
    ]
    if ours:
        api(f"{repository}/issues/comments/{ours[0]}", "--method", "PATCH", body=body)
    else:
        api(f"{repository}/issues/{int(number)}/comments", "--method", "POST", body=body)


def say(level: str, what: str) -> None:
    """Print a message that GitHub shows as an annotation."""
    told = what.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    sys.stdout.write(f"::{level} title=everykernel::{told}\n")


def main(arguments: list[str]) -> int:
    """Do what the arguments say; return the exit code."""
    try:
        if arguments == ["find"]:
            number = find()
            if not number:
                say("notice", "the pull request has moved on, or is closed: nothing is said there")
            with Path(os.environ["GITHUB_OUTPUT"]).open("a") as file:
                file.write(f"number={number}\n")
        else:
            _, number, folder = arguments
            post(number, Path(folder))
    except CommentError as e:
        say("error", str(e))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
