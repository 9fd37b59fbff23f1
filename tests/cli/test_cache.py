"""`everykernel cache` lists what is kept and has its room back, the least recently used first."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from everykernel import cache
from everykernel.cli import main
from everykernel.cli.cache import parse_size, shown
from everykernel.errors import UsageError


@pytest.fixture(autouse=True)
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A cache with a kernel, a snapshot and a package of 1 to 3 MB, last used three, two and one hours ago."""
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EVERYKERNEL_CACHE_LIMIT", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    found = {
        "kernel": cache.entry("kernels", "x86_64-6.1.0-56-cloud-amd64_6.1.192-2"),
        "snapshot": cache.entry("snapshots", "warm-6.1.0-56-cloud-amd64-0123"),
        "package": cache.entry("packages", "0123-libc6.deb"),
    }
    for name, record in (("kernel", "kernel.json"), ("snapshot", "about.json")):
        found[name].mkdir()
        about = {"series": "6.1", "flavour": "cloud-amd64", "spec": "6.1", "machine": {"memory": 256}}
        (found[name] / record).write_text(json.dumps(about))
    (found["kernel"] / "vmlinuz").write_bytes(os.urandom(1_000_000))
    (found["snapshot"] / "memory").write_bytes(os.urandom(2_000_000))
    found["package"].write_bytes(os.urandom(3_000_000))
    for hours, path in zip((3, 2, 1), found.values(), strict=True):
        cache.touch(path)
        stamp = path / ".last-used" if path.is_dir() else path
        os.utime(stamp, (time.time() - hours * 3600 - 60,) * 2)
    return found


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["cache", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_list_is_the_order_in_which_entries_go(
    capsys: pytest.CaptureFixture[str], entries: dict[str, Path], tmp_path: Path
) -> None:
    """Each entry has what it is, its size and last use; the last line has the sum, the limit and the folder."""
    with cache.held(entries["snapshot"]):
        code, out, _ = run(capsys, "list")
    assert code == 0
    head, kernel, snapshot, package, total = (" ".join(line.split()) for line in out.splitlines())
    assert head == "entry what size last use"
    assert kernel == "kernels/x86_64-6.1.0-56-cloud-amd64_6.1.192-2 kernel 6.1, cloud-amd64 1 MB 3 h ago"
    assert snapshot == "snapshots/warm-6.1.0-56-cloud-amd64-0123 6.1, warm snapshot, 256 MiB 2 MB in use"
    assert package == "packages/0123-libc6.deb package of the guest image 3 MB 1 h ago"
    assert total == f"6 MB of 20.0 GB in {tmp_path}/cache"


def test_the_list_as_json(capsys: pytest.CaptureFixture[str], entries: dict[str, Path]) -> None:
    """Programs get the same, sizes in bytes and times in seconds since the epoch."""
    code, out, err = run(capsys, "list", "--json")
    assert (code, err) == (0, "")
    rows = json.loads(out)
    assert [row["name"] for row in rows] == [f"{path.parent.name}/{path.name}" for path in entries.values()]
    assert rows[1]["path"] == str(entries["snapshot"])
    assert 2_000_000 <= rows[1]["bytes"] < 2_100_000
    assert time.time() - 7300 < rows[1]["used"] < time.time() - 7200
    assert rows[1]["in_use"] is False


def test_prune_stops_where_it_was_told_to(capsys: pytest.CaptureFixture[str], entries: dict[str, Path]) -> None:
    """What was used least recently goes, until so much is left; what went is said."""
    code, out, err = run(capsys, "prune", "--to", "5.5MB")
    assert (code, out) == (0, "removed kernels/x86_64-6.1.0-56-cloud-amd64_6.1.192-2 (1 MB)\n")
    assert err == "1 MB freed, 5 MB left\n"
    assert [path.exists() for path in entries.values()] == [False, True, True]
    assert run(capsys, "prune") == (0, "", "0 kB freed, 5 MB left\n")


def test_prune_all_leaves_what_is_in_use(capsys: pytest.CaptureFixture[str], entries: dict[str, Path]) -> None:
    """All goes but what somebody uses, or is about to use; a second time nothing is left to say."""
    with cache.using(entries["kernel"]), cache.held(entries["package"]):
        code, out, err = run(capsys, "prune", "--all")
    assert (code, out) == (0, "removed snapshots/warm-6.1.0-56-cloud-amd64-0123 (2 MB)\n")
    assert err == "2 MB freed, 4 MB left\n2 entries are in use, and stay\n"
    assert run(capsys, "prune", "--all")[2] == "4 MB freed, 0 kB left\n"
    assert not any(path.exists() for path in entries.values())


def test_what_is_asked_for_must_make_sense(capsys: pytest.CaptureFixture[str]) -> None:
    """A size that is none, and two answers at once, are usage errors: nothing is deleted."""
    assert run(capsys, "prune", "--to", "5 parsecs") == (
        2,
        "",
        "everykernel: --to: '5 parsecs' is not a size [write 5GB or 500MB]\n",
    )
    code, _, err = run(capsys, "prune", "--to", "1", "--all")
    assert (code, err) == (2, "everykernel: cache prune: say --to SIZE or --all, not both\n")
    assert len(cache.entries()) == 3


@pytest.mark.parametrize(
    ("text", "size"), [("5", 5_000_000_000), ("1.5GB", 1_500_000_000), ("500 mb", 500_000_000), ("0", 0), ("2kB", 2000)]
)
def test_sizes(text: str, size: int) -> None:
    """Units are in thousands, as the limit's; a bare number is GB."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "1e9", "GB", "1 GiB", "nan"])
def test_no_sizes(text: str) -> None:
    """Nothing else is taken for a size."""
    with pytest.raises(UsageError):
        parse_size(text)


def test_sizes_are_shown_as_a_person_reads_them() -> None:
    """Three units, and one digit where it tells something."""
    assert [shown(n) for n in (0, 999, 1_400_000, 20_000_000_000)] == ["0 kB", "1 kB", "1 MB", "20.0 GB"]


def test_what_was_built_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """A twin is told by its name, a source tree that an interrupt left as what it is."""
    for name, record in (("6.1-btf-0123", {"series": "6.1", "part": "btf"}), ("linux-source-6.1_6.1.192-3", None)):
        cache.entry("twins", name).mkdir()
        if record is not None:
            (cache.entry("twins", name) / "twin.json").write_text(json.dumps(record))
    lines = [" ".join(line.split()) for line in run(capsys, "list")[1].splitlines() if "twins/" in line]
    assert lines[0].startswith("twins/6.1-btf-0123 built: 6.1-btf 4 kB ")
    assert lines[1].startswith("twins/linux-source-6.1_6.1.192-3 source of twins ")
