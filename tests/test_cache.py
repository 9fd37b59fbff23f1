"""The cache writes whole files, locks across processes, and forgets what was used least recently."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest

from everykernel import cache
from everykernel.errors import CacheError, UsageError


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EVERYKERNEL_CACHE_LIMIT", raising=False)
    return tmp_path / "cache"


def entry(name: str, size: int, age: float) -> Path:
    """Make an entry of ``size`` bytes that was last used ``age`` seconds ago."""
    path = cache.folder("kernels") / name
    path.mkdir()
    (path / "data").write_bytes(os.urandom(size))
    cache.touch(path)
    os.utime(path / ".last-used", (time.time() - age,) * 2)
    return path


def test_setting_moves_the_cache(root: Path) -> None:
    """EVERYKERNEL_CACHE decides where the cache is."""
    assert cache.root() == root
    assert cache.folder("kernels") == root / "kernels"


def test_without_the_setting_it_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Unset, the cache is in the user's cache folder."""
    monkeypatch.delenv("EVERYKERNEL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.root() == tmp_path / "xdg" / "everykernel"


def test_a_file_that_fails_half_way_is_not_there() -> None:
    """A reader sees the old file or the whole new one."""
    path = cache.folder("x") / "file"
    cache.write(path, b"old")
    with contextlib.suppress(RuntimeError), cache.write_atomically(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_folder_that_fails_half_way_is_not_there() -> None:
    """A folder appears when it is complete, and takes the place of the old one."""
    path = cache.folder("x") / "folder"
    with cache.make_folder(path) as temporary:
        (temporary / "a").touch()
    with pytest.raises(RuntimeError), cache.make_folder(path) as temporary:
        raise RuntimeError
    assert [p.name for p in path.iterdir()] == ["a"]
    with cache.make_folder(path) as temporary:
        (temporary / "b").touch()
    assert [p.name for p in path.iterdir()] == ["b"]
    assert [p.name for p in path.parent.iterdir()] == ["folder"]


def test_a_lock_excludes_another_process() -> None:
    """While one process holds a lock, another one does not get it."""
    program = "from everykernel import cache\nwith cache.lock('kernels/a', timeout=0): print('got it')"
    with cache.lock("kernels/a"):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert "Timeout" in done.stderr
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "got it\n"


def test_many_use_an_entry_and_nobody_makes_it_meanwhile() -> None:
    """`using` is shared with itself and excludes `lock`."""
    path = entry("a", 10, 0)
    with cache.using(path), cache.using(path), pytest.raises(filelock.Timeout), cache.lock("kernels/a", timeout=0):
        pass
    with cache.lock("kernels/a", timeout=0):
        pass


def test_prune_takes_the_least_recently_used_first() -> None:
    """The cache shrinks below the limit, oldest use first, and not further."""
    old, middle, new = entry("old", 40_000, 300), entry("middle", 40_000, 200), entry("new", 40_000, 100)
    gone = cache.prune(100_000)
    assert [e.name for e in gone] == ["kernels/old"]
    assert not old.exists()
    assert middle.exists()
    assert new.exists()


def test_prune_leaves_what_is_locked_in_use_or_to_be_kept() -> None:
    """Nothing that somebody makes, uses or asks to keep is deleted, however small the limit."""
    made, used, kept, other = (entry(name, 40_000, 100) for name in ("made", "used", "kept", "other"))
    with cache.lock("kernels/made"), cache.using(used):
        assert [e.path for e in cache.prune(1, keep=[kept])] == [other]
    assert made.exists()
    assert used.exists()
    assert kept.exists()


def test_using_counts_as_use() -> None:
    """What was used just now is pruned last."""
    first, second = entry("first", 40_000, 300), entry("second", 40_000, 200)
    with cache.using(first):
        pass
    cache.prune(50_000)
    assert first.exists()
    assert not second.exists()


def test_prune_sweeps_up_after_killed_processes() -> None:
    """Temporary files of processes that died a day ago go; those of today stay."""
    folder = cache.folder("kernels")
    litter, fresh = folder / ".x.1.2.tmp", folder / ".y.1.2.tmp"
    litter.mkdir()
    fresh.mkdir()
    os.utime(litter, (time.time() - 90_000,) * 2)
    cache.prune()
    assert not litter.exists()
    assert fresh.exists()


def test_sparse_files_count_what_they_hold() -> None:
    """A snapshot's memory file with holes is not taken for larger than it is."""
    path = cache.folder("snapshots") / "memory"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    assert cache.size(path) < 1 << 20


def test_the_limit_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """EVERYKERNEL_CACHE_LIMIT is in GB; 20 without it."""
    assert cache.limit() == 20_000_000_000
    monkeypatch.setenv("EVERYKERNEL_CACHE_LIMIT", "1.5")
    assert cache.limit() == 1_500_000_000


@pytest.mark.parametrize("setting", ["much", "0", "-3"])
def test_a_limit_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    """A limit that is no size is an error, never ignored."""
    monkeypatch.setenv("EVERYKERNEL_CACHE_LIMIT", setting)
    with pytest.raises(UsageError) as caught:
        cache.limit()
    assert str(caught.value) == f"EVERYKERNEL_CACHE_LIMIT: {setting!r} is not a size in GB [a number, 20 if unset]"


def test_a_full_disk_says_where_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC becomes an error with the place and the settings that help."""
    path = cache.folder("x") / "file"

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CacheError) as caught:
        cache.write(path, b"data")
    assert str(caught.value) == (
        f"{path}: no space left for the cache "
        "[free some space, lower EVERYKERNEL_CACHE_LIMIT (GB), or set EVERYKERNEL_CACHE to a folder on another disk]"
    )
    assert not path.exists()


def test_a_really_full_device_is_a_cache_error() -> None:
    """What the kernel says of a full device reaches the user as a cache error."""
    with pytest.raises(CacheError, match="no space left for the cache"), cache.explained(Path("/dev/full")):
        Path("/dev/full").write_bytes(b"x")


def test_a_cache_that_is_a_file_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache that cannot be made names the folder and the setting."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CacheError) as caught:
        cache.root()
    assert str(caught.value) == (
        f"{tmp_path}/file/cache: the cache cannot be used: Not a directory "
        "[look at it, or set EVERYKERNEL_CACHE to another folder]"
    )


def test_a_cache_of_somebody_else_is_explained() -> None:
    """A cache without write permission names the folder and the setting."""
    with pytest.raises(CacheError) as caught, cache.explained(Path("/somewhere")):
        raise PermissionError(errno.EACCES, "Permission denied", "/somewhere/file")
    assert str(caught.value) == (
        "/somewhere/file: the cache cannot be written "
        "[make it writable for you, or set EVERYKERNEL_CACHE to a folder that is]"
    )


def test_a_cache_is_made_for_its_user_alone(root: Path) -> None:
    """The folder and those in it are made so that nobody else can look or write, whatever the umask."""
    before = os.umask(0)
    try:
        cache.folder("kernels")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (root, root / "kernels")] == [0o700, 0o700]


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
def test_a_cache_that_others_can_write_is_refused(root: Path, mode: int) -> None:
    """A snapshot is code that is run: a folder that others can put one into is refused, with the remedy."""
    root.mkdir()
    root.chmod(mode)
    with pytest.raises(CacheError) as caught:
        cache.folder("kernels")
    assert str(caught.value) == (
        f"{root}: the cache can be written by others (mode {mode:o}) "
        f"[chmod go-w {root}, or set EVERYKERNEL_CACHE to a folder of your own]"
    )
    root.chmod(0o755)
    assert cache.folder("kernels").is_dir()


def test_a_cache_that_belongs_to_another_user_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also root does not run what another user has put there."""
    cache.root()
    owner = root.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(CacheError) as caught:
        cache.root()
    assert str(caught.value) == (
        f"{root}: the cache belongs to another user (uid {owner}, and you are {owner + 1}) "
        "[set EVERYKERNEL_CACHE to a folder of your own]"
    )


def test_a_use_of_what_is_gone_makes_nothing() -> None:
    """An entry that was pruned before it was used is not there afterwards either."""
    gone = cache.folder("kernels") / "gone"
    cache.touch(gone)
    with cache.using(gone), cache.held(gone):
        pass
    assert not gone.exists()


def test_a_file_in_the_way_of_a_folder_goes() -> None:
    """A cache that holds a file where a folder must be (older versions could leave one) is put right."""
    path = cache.folder("x") / "folder"
    path.write_bytes(b"")
    with cache.make_folder(path) as temporary:
        (temporary / "a").touch()
    assert [p.name for p in path.iterdir()] == ["a"]


def test_what_is_held_stays_and_can_be_made() -> None:
    """Holding an entry keeps prune away, in nobody else's way: it can be locked, made and used meanwhile."""
    path = cache.folder("kernels") / "held"
    with cache.held(path), cache.held(path):
        with cache.lock("kernels/held", timeout=0), cache.make_folder(path) as temporary:
            (temporary / "data").write_bytes(os.urandom(40_000))
        assert cache.prune(1) == []
        with cache.using(path):
            pass
    assert [e.path for e in cache.prune(1)] == [path]


def test_what_a_process_keeps_stays_until_it_lets_go() -> None:
    """`hold` lasts as long as the process, or until it lets go of all; twice is once."""
    path = entry("mine", 40_000, 0)
    cache.hold(path)
    cache.hold(path)
    program = "from everykernel import cache\nprint(len(cache.prune(1)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "0\n"
    cache.let_go()
    assert [e.path for e in cache.prune(1)] == [path]
