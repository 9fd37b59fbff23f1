"""The page of a run: what it holds, where it takes it from, and that nothing in it obeys a name."""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import json
import os
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.report import made

from everykernel.matrix import records
from everykernel.matrix.records import CaseResult
from everykernel.report import columns, files, folder, marks
from everykernel.report.files import Files
from everykernel.report.runview import asks, logs, rows
from everykernel.report.runview.heads import heads, spans
from everykernel.report.runview.page import addresses, page

REFUSED = {**made.results(4, 3), "results": made.results(4, 3)["results"][-3:]}  # of one object, on the last kernel
HOSTILE = "</script><img src=x>\u202e\x1b[2J\u2028<!--"


def held(text: str, block: str) -> Any:
    """What one block of the page's data holds."""
    found = re.search(f'<script type="text/plain" id="{block}">([A-Za-z0-9+/=]*)</script>', text)
    assert found is not None
    return json.loads(zlib.decompress(base64.b64decode(found[1])))


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """Its policy allows its own script and style by their hashes; nothing in it is asked for, or made from text."""
    text = page(made.results(2, 2))
    policy = re.search('http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    said = html.unescape(policy[1])
    assert said.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        *_, body = found = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in found]
        assert " ".join([f"{tag}-src", *(f"'sha256-{one}'" for one in hashes)]) + "; " in said
        assert not re.search(
            r"@import|url\(|innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(", body
        )
    assert not re.search(r"\ssrc=|<link|<iframe|<object|<embed|<form|\sstyle=|\son\w+=", text)
    assert re.findall("https?://[^\"' ]*", text) == ["http://www.w3.org/2000/svg"]


def test_names_are_text_and_nothing_else() -> None:
    """A name that closes a script, turns the text round or moves the cursor is shown as text, in every place."""
    results: Any = made.results(1, 1)
    results["results"][0].update({"object": HOSTILE, "case": HOSTILE, "kernel": HOSTILE, "message": HOSTILE})
    results["results"][0].update({"outcome": "failed", "code": HOSTILE, "stage": HOSTILE, "sha256": HOSTILE})
    results["kernels"][0] = dict.fromkeys(results["kernels"][0], HOSTILE) | {"notes": [HOSTILE]}
    results["run"]["tool"] = results["run"]["started"] = results["run"]["host"]["qemu"] = HOSTILE
    text = page(results)
    assert text.count("<script") == text.count("</script>") == 4  # two of the page's own, the index, one row
    assert "<img" not in text
    assert not {"\u202e", "\x1b", "\u2028"} & set(text)
    assert held(text, "index")["rows"][0]["name"] == r"</script><img src=x>\u202e\x1b[2J\u2028<!--"


ODD = st.text(
    st.sampled_from("ab</>&\"'`;:#=+%{}[]()\\\n\r\t\0\x1b\u2028\u2029\u202e\ufeff\ud800é✓"), min_size=1, max_size=12
)
FREE = (
    "object", "case", "test", "kernel", "loader", "rules", "target", "spec", "message", "code", "name", "section",
    "type",
    "access", "program", "kind", "release", "source", "again", "btf", "log", "tool", "started", "stage", "flavour",
)  # fmt: skip


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(ODD, min_size=1, max_size=9), which=st.sets(st.sampled_from(sorted(FREE)), min_size=1))
def test_whatever_results_say_a_page_is_made(texts: list[str], which: set[str]) -> None:
    """Any text in any field gives a page with the same elements as every other, and nothing in it that is not text."""
    turn = itertools.cycle(texts)

    def odd(value: Any) -> Any:
        if isinstance(value, list):
            return [odd(one) for one in value[:3]]
        if not isinstance(value, dict):
            return value
        return {k: next(turn) if k in which and isinstance(v, str) and v else odd(v) for k, v in value.items()}

    results = odd(REFUSED)
    text = page(results)
    assert text.count("<script") == text.count("</script>") == 3 + len({records.row(r) for r in results["results"]})
    assert len(re.findall("<tr[ >]", re.sub("(?s)<script.*?</script>", "", text))) > 8
    assert not {c for c in text if c != "\n" and not c.isprintable()}
    names = {row["name"] for row in held(text, "index")["rows"]}
    assert all(name.isprintable() for name in names)
    assert held(text, "row0")["cells"]


def test_a_name_cannot_make_two_cells_one() -> None:
    """Names that are shown alike have addresses of their own; none of them is lost, lone surrogates included."""
    found = addresses(["a\x1b", r"a\x1b", "b", "\ud800"])
    assert list(found.values()) == [r"a\x1b", r"a\x1b~2", "b", r"\ud800"]
    results: Any = made.results(2, 1)
    for result, name in zip(results["results"], ("a\x1b\ud800", r"a\x1b\ud800")):
        result["object"] = name
    text = page(results)
    assert {row["name"] for row in held(text, "index")["rows"]} == {r"a\x1b\ud800", r"a\x1b\ud800~2"}
    assert len(set(re.findall('href="(#row=[^"]*)"', text))) == 2


def test_each_answer_is_held_once() -> None:
    """Relocations that ask the same, and are answered alike on all kernels, are one question with all its places."""

    def relocation(program: str, insn: int, target: int | None, **more: Any) -> Any:
        made = {"section": "s", "program": program, "index": insn, "insn": insn, "kind": "byte_off", "local": 4}
        return {**made, "access": "struct a.b", "target": target, "outcome": "patched", "message": "", **more}

    found = asks.asked(
        [
            [relocation("p", 1, 8), relocation("p", 5, 8), relocation("q", 2, 8)],
            [relocation("p", 1, 16), relocation("p", 5, 16), relocation("q", 2, 24, mem_size=4)],
            [
                relocation("p", 1, 16),
                relocation("p", 5, None, outcome="poisoned", message="no"),
            ],
        ]
    )
    assert [ask[2:] for ask in found["asks"]] == [
        ["struct a.b", 4, ["p:1"], 0],
        ["struct a.b", 4, ["p:5"], 0],
        ["struct a.b", 4, ["q:2"], 0],
    ]
    texts = [[found["answers"][n][1] if n >= 0 else "" for n in column] for column in found["of"]]
    assert texts == [["8", "8", "8"], ["16", "16", "24, 4 wide"], ["16", "-", ""]]
    together = asks.asked(
        [[relocation("p", 1, 8), relocation("q", 2, 8)], [relocation("p", 1, 9), relocation("q", 2, 9)]]
    )
    assert [ask[4] for ask in together["asks"]] == [["p:1", "q:2"]]
    yes = asks.asked([[relocation("p", 1, 1, kind="field_exists"), relocation("p", 2, 1)]])
    assert [answer[1] for answer in yes["answers"]] == ["yes", "1"]


def test_a_log_is_folded_around_what_failed() -> None:
    """The C line, the instructions up to the one that failed and what is said of it stand open; all else is folded."""
    told = logs.folded(made.LOG, "EACCES: x at a.c:7: int x = *p;", "a.c:7")
    assert told["near"] == ["; return ctx->len + *(int *)p;", "400: (61) r0 = *(u32 *)(r3 +0)"]
    assert told["said"] == ["R3 invalid mem access 'scalar'"]
    assert told["line"] == "int x = *p;"
    assert told["at"] == "a.c:7"
    assert told["before"].count("\n") + 1 == 3 * 399
    assert told["end"][0].startswith("processed 401 insns")
    assert logs.states(made.LOG) == 23
    assert (
        logs.states("processed 5 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 2 mark_read 0")
        == 1
    )


@pytest.mark.parametrize(
    "log", ["", "\n\n", "no such thing", "x" * 500_000, "0: (95) exit\n" * 100_000, "\x1b[2J\r\u202e"]
)
def test_any_log_has_its_place(log: str) -> None:
    """Whatever a log is, its parts are printable and no larger than a page can bear."""
    told = logs.folded(log, "", "")
    text = json.dumps(told, ensure_ascii=False)
    assert len(text) < 150_000
    assert not {"\x1b", "\u202e", "\r"} & set(text)


def test_columns_stand_by_loader_vendor_architecture_and_version() -> None:
    """Whatever order a run had, neighbours are comparable; what is missing stands where it would."""
    kernels: Any = [
        {"spec": "6.12", "release": "6.12.5-a", "arch": "x86_64", "source": "debian:trixie"},
        {"spec": "rocky:9", "release": "5.14.0-611.el9", "arch": "x86_64", "source": "rocky:9"},
        {"spec": "6.1/i386", "release": "6.1.0-50", "arch": "i386", "source": "debian:bookworm"},
        {"spec": "5.10", "release": "5.10.0-46", "arch": "x86_64", "source": "debian:bullseye"},
        {"spec": "6.8", "missing": "no source has it"},
        {"spec": "rocky:8", "missing": "it is gone"},
    ]
    found = heads(columns.grid([], kernels).kernels)
    assert [head.name for head in found] == ["5.10", "6.8", "6.12", "rocky:8", "rocky:9", "6.1/i386"]
    assert spans(found, lambda head: head.group) == [
        ("debian · x86_64", 3), ("rocky · x86_64", 2), ("debian · i386", 1),
    ]  # fmt: skip


def _cell(evidence: object) -> CaseResult:
    result = records.empty(None, "a.o", "6.1", {})
    result["evidence"] = evidence  # type: ignore[typeddict-item]
    return result


@pytest.mark.parametrize(
    "evidence",
    ["../secret", "cells/../../secret", "/etc", "cells/a/..", "cells/a/b/../c", "cells//b", "javascript:alert(1)",
     "cells/a/b\n", "cells/a/b?x", "cells/a/%2e%2e", "cells/.hidden/b", None, 7],
)  # fmt: skip
def test_evidence_leads_nowhere_else(tmp_path: Path, evidence: object) -> None:
    """What a results file names as evidence is read and linked only if it has the form that ours has."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "console.txt").write_text("secret")
    root = tmp_path / "report"
    (root / "cells").mkdir(parents=True)
    assert Files(root, linked=True).link(_cell(evidence)) == ""
    assert Files(root).console(_cell(evidence)) == ""


def test_links_on_the_disk_are_not_followed(tmp_path: Path) -> None:
    """Not of a file, not of a folder on the way to it; a pipe is no file, and nobody waits for it."""
    secret, root = tmp_path / "secret", tmp_path / "report" / "cells"
    for path in (secret, root / "a" / "b", root / "c" / "d"):
        path.mkdir(parents=True)
    (secret / "console.txt").write_text("secret")
    (root / "a" / "b" / "console.txt").symlink_to(secret / "console.txt")
    (root / "c" / "e").symlink_to(secret)
    os.mkfifo(root / "c" / "d" / "console.txt")
    for name in ("cells/a/b", "cells/c/e", "cells/c/d"):
        assert Files(root.parent).console(_cell(name)) == ""
    (root / "a" / "b" / "real.txt").write_text("real")
    with os.fdopen(files.opened(root.parent, "cells/a/b/real.txt")) as file:
        assert file.read() == "real"


def test_consoles_have_a_ceiling(tmp_path: Path) -> None:
    """Each is cut in its middle, and all of a page together end somewhere."""
    own = tmp_path / "cells" / "a" / "b"
    own.mkdir(parents=True)
    (own / "console.txt").write_text("begin" + "x" * 1_000_000 + "end")
    found = Files(tmp_path)
    text = found.console(_cell("cells/a/b"))
    assert text.startswith("beginxxx")
    assert text.endswith("xend")
    assert "bytes are left out here" in text
    assert sum(len(found.console(_cell("cells/a/b"))) for _ in range(1000)) < 9 << 20


def test_the_page_names_files_only_where_it_stands_beside_them(tmp_path: Path) -> None:
    """Written into the report's folder it links to each cell's; elsewhere it links to none."""
    results = made.results(1, 1)
    (beside, other) = (
        folder.write(results, where, kept=tmp_path / "out") for where in (tmp_path / "out", tmp_path / "site")
    )
    found = {path.name: path for path in beside}["index.html"].read_text()
    assert held(found, "row0")["cells"][0]["files"] == "cells/0/0"
    found = {path.name: path for path in other}["index.html"].read_text()
    assert held(found, "row0")["cells"][0]["files"] == ""


def test_a_cell_that_was_run_again_is_found_by_that() -> None:
    """What passed at the second attempt is marked, counted and filtered as flaky, beside its verdict."""
    results = made.results(1, 2)
    again = results["results"][0]
    broken: CaseResult = {**_cell(None), "outcome": "error", "code": "guest-lost"}
    again["outcome"], again["code"], again["attempt"], again["attempts"] = "passed", "", 2, [broken]
    cell = rows.cell(again, 0)
    assert "flaky" in cell.tags
    assert "passed" in cell.tags
    assert marks.FLAKY in cell.shown
    assert "flaky" in page(results)
