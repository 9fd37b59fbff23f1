"""What travels to a guest: within bounds, to where it is found, part by part."""

from __future__ import annotations

from pathlib import Path

import pytest

from everykernel import wire
from everykernel.errors import RequestFailed, UsageError
from everykernel.files import push, tree
from everykernel.files.tree import Tree
from everykernel.machine import fake


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [
        ("tool", "tool", "/root/tool"),
        ("./build/tool", "build/tool", "/root/build/tool"),
        ("../tool", "../tool", "/root/tool"),
        ("/opt/tool", "/opt/tool", "/root/tool"),
        ("tool:/usr/bin/tool", "tool", "/usr/bin/tool"),
        ("tool:sub/tool", "tool", "/root/sub/tool"),
        ("odd:name", "odd:name", "/root/odd:name"),
    ],
)
def test_where_it_goes(text: str, source: str, target: str, tmp_path: Path) -> None:
    """A relative path stays as it is below /root; what leads out of the folder is called by its name."""
    (tmp_path / "odd:name").touch()
    assert tree.parse(text, tmp_path) == (tmp_path / source, target)


def test_a_folder(tmp_path: Path) -> None:
    """Folders travel whole, links as links; version control and caches stay."""
    for name in ("a/b/file", ".git/HEAD", "target/CACHEDIR.TAG", "target/large"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "a/link").symlink_to("b/file")
    (tmp_path / "a/b/file").chmod(0o500)
    found = Tree()
    found.add(tmp_path, "/w")
    assert list(found.items) == ["/w", "/w/a", "/w/a/b", "/w/a/b/file", "/w/a/link"]
    assert found.items["/w/a/link"].link == "b/file"
    assert (found.items["/w/a/b/file"].mode, found.bytes) == (0o500, 8)


def test_bounds(tmp_path: Path) -> None:
    """Too many files, and too large ones, are an error that names the folder and the bound."""
    for number in range(5):
        (tmp_path / str(number)).write_bytes(bytes(1000))
    with pytest.raises(UsageError, match=rf"{tmp_path}: holds more than 3 files \[push less\]"):
        Tree(files=3).add(tmp_path, "/w", remedy="push less")
    with pytest.raises(UsageError, match="holds more than 0 MiB"):
        Tree(size=4000).add(tmp_path, "/w")
    with pytest.raises(UsageError, match="there is no such file"):
        Tree().add(tmp_path / "no", "/w")
    with pytest.raises(UsageError, match="is neither a file nor a folder"):
        Tree().add(Path("/dev/null"), "/w")


def test_large_files_go_in_parts(tmp_path: Path) -> None:
    """No request holds more than a part of a file, and together they are the file."""
    data = bytes(range(256)) * 10_000
    (tmp_path / "large").write_bytes(data)
    (tmp_path / "empty").touch()
    found = Tree()
    found.add(tmp_path, "/w")
    guest = fake.FakeMachines().start(fake.kernel())
    push.push(guest, found)
    assert (guest.files["/w/large"], guest.files["/w/empty"]) == (data, b"")
    sent = [sum(len(e.get("data", b"")) for e in r.entries) for r in guest.requests if isinstance(r, wire.Place)]
    assert len(sent) == 3
    assert max(sent) <= 1 << 20


def test_no_room(tmp_path: Path) -> None:
    """A guest without room says what would be enough, and nothing was written."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(200 << 20)
    found = Tree()
    found.add(tmp_path / "large", "/w")
    machines = fake.FakeMachines()
    machines.answer(wire.Room, wire.Value(100 << 20))
    guest = machines.start(fake.kernel())
    with pytest.raises(RequestFailed) as caught:
        push.push(guest, found)
    assert caught.value.code == "limit-exceeded"
    assert str(caught.value) == ("6.1: the files take 200 MiB, and a guest of 256 MiB has room for 100 [--memory 512]")
    assert guest.files == {}
