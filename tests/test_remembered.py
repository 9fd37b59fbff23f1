"""What was learnt of a BTF is kept for the next process, and never used for another BTF, nor when it is damaged."""

from __future__ import annotations

import os
import sys
import zlib
from pathlib import Path

import platformdirs
import pytest
from tests.btfwriter import Writer

from everykernel import cache, home, remembered
from everykernel.errors import BtfMalformed


def image(*, big: bool) -> bytes:
    """Return a BTF with some types."""
    writer = Writer(big=big)
    integer = writer.integer("int", signed=True)
    for number in range(40):
        writer.struct(f"s{number % 30}", 8, [("a", integer, 0), ("b", integer, 32)])
    return writer.image()


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A BTF that is worth it, and a cache without anything."""
    monkeypatch.setenv(home.ROOT_SETTING, str(tmp_path / "cache"))
    monkeypatch.setattr(remembered, "_WORTH", 1)
    return image(big=sys.byteorder == "big")


def kept() -> list[Path]:
    """Return what is kept."""
    return sorted((home.cache() / remembered.FOLDER).glob("*"))


def test_the_second_time_it_is_known(raw: bytes) -> None:
    """What is found is the same, whether it was learnt or known."""
    first, second = remembered.btf(raw, name="a"), remembered.btf(raw, name="b")
    assert (first.learnt, second.learnt) == (False, True)
    assert list(first) == list(second)
    assert [first.own_named(name) for name in ("int", "s7", "none")] == [
        second.own_named(name) for name in ("int", "s7", "none")
    ]
    assert first.learn() == second.learn()
    assert (second.name, len(kept())) == ("b", 1)


def test_another_btf_is_not_known(raw: bytes) -> None:
    """One of the same size has an entry of its own."""
    remembered.btf(raw)
    assert not remembered.btf(raw.replace(b"int\0", b"Int\0")).learnt
    assert len(kept()) == 2


@pytest.mark.parametrize("at", [0, 4, 30, -1])
def test_a_damaged_entry_is_learnt_anew(raw: bytes, at: int) -> None:
    """A byte that changed, wherever it is, or a file cut short: nothing is remembered, and the entry is whole again."""
    found = remembered.btf(raw)
    (path,) = kept()
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[at] ^= 1
    for data in (bytes(damaged), whole[: len(whole) // 2], b""):
        path.write_bytes(data)
        again = remembered.btf(raw)
        assert not again.learnt
        assert list(again) == list(found)
        assert path.read_bytes() == whole


def test_a_cache_that_others_can_write(raw: bytes) -> None:
    """What others may have put there is not used; neither is anything written, and nothing is said."""
    remembered.btf(raw)
    home.cache().chmod(0o777)
    assert not remembered.btf(raw).learnt


def test_a_cache_that_cannot_be(raw: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short command needs no cache."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(home.ROOT_SETTING, str(tmp_path / "file"))
    assert not remembered.btf(raw).learnt


def test_what_is_used_is_not_thrown_away_first(raw: bytes) -> None:
    """An entry that was used counts as such."""
    remembered.btf(raw)
    (path,) = kept()
    os.utime(path, (1, 1))
    remembered.btf(raw)
    assert path.stat().st_mtime > 1
    assert any(entry.path == path for entry in cache.entries())


def test_malformed_btf_is_refused_as_ever(raw: bytes) -> None:
    """Nothing is kept of it."""
    with pytest.raises(BtfMalformed):
        remembered.btf(raw[:-4])
    assert kept() == []


def test_small_and_split_btf_is_not_kept(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is parsed as ever."""
    base = remembered.btf(raw)
    remembered.btf(raw, base=base)
    monkeypatch.setattr(remembered, "_WORTH", len(raw) + 1)
    remembered.btf(raw + b"")
    assert len(kept()) == 1


def test_the_other_byte_order_is_not_kept(raw: bytes) -> None:
    """What is learnt has the order of the machine that it is for, which this is not."""
    other = image(big=sys.byteorder == "little")
    for _ in range(2):
        found = remembered.btf(other)
        assert not found.learnt
        assert found.own_named("int") == [1]
    assert kept() == []


@pytest.mark.parametrize("folder", ["", "  ", "/somewhere", "~/elsewhere", "relative"])
def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """As platformdirs has it, without importing that."""
    monkeypatch.delenv(home.ROOT_SETTING, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", folder)
    assert home.cache() == Path(platformdirs.user_cache_dir("everykernel"))
    monkeypatch.setenv(home.ROOT_SETTING, "~/mine")
    assert home.cache() == Path.home() / "mine"


def test_the_crc_is_of_all(raw: bytes) -> None:
    """What is kept begins with the CRC of the rest."""
    found = remembered.btf(raw)
    (path,) = kept()
    data = path.read_bytes()
    assert int.from_bytes(data[:4], "little") == zlib.crc32(data[4:])
    assert data[4:] == found.learn()
