"""A signed index is Debian's, or is refused: checked with the real gpgv and a key made for these tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from everykernel.errors import DownloadError
from everykernel.kernels.trust import Trust

DATA = Path(__file__).parent / "data"
SIGNED = (DATA / "InRelease").read_bytes()
TEXT = b"Origin: test\nSuite: teststable\n- a line that begins with a dash\nSHA256:\n"


def trust(keyring: str = "keyring.gpg") -> Trust:
    gpgv = shutil.which("gpgv")
    assert gpgv is not None, "install gpgv: this test must not be skipped"
    return Trust(gpgv, (DATA / keyring,))


def test_a_good_signature_gives_the_text_that_it_covers() -> None:
    """The text comes back as it was signed, dashes unescaped."""
    assert trust().name == "gpgv"
    assert trust().signed_text(SIGNED, "x").startswith(TEXT)


def test_a_changed_text_is_refused() -> None:
    """One changed byte makes the signature bad, and the error says where and what to do."""
    with pytest.raises(DownloadError) as caught:
        trust().signed_text(SIGNED.replace(b"teststable", b"testunsafe"), "http://m.example/InRelease")
    assert str(caught.value).startswith("http://m.example/InRelease: the signature is not good: BAD signature from")
    assert str(caught.value).endswith("[do not use this mirror; set EVERYKERNEL_DEBIAN_MIRROR to another]")


def test_an_unknown_key_asks_for_a_newer_keyring() -> None:
    """A suite signed by a key that came after the host's keyring is told from a forgery."""
    with pytest.raises(DownloadError) as caught:
        trust("other.gpg").signed_text(SIGNED, "x")
    assert str(caught.value) == (
        "x: signed by a key that this host's Debian keyring does not have [update the package debian-archive-keyring]"
    )


def test_text_around_the_signed_part_is_not_trusted() -> None:
    """Only what the signature covers counts: text before it is refused, text behind it left out."""
    with pytest.raises(DownloadError, match="not a signed index"):
        trust().signed_text(b"Suite: evil\n" + SIGNED, "x")
    with pytest.raises(DownloadError, match="the signature is not good"):
        trust().signed_text(SIGNED.replace(b"\n-----BEGIN PGP SIG", b"\nSuite: evil\n-----BEGIN PGP SIG"), "x")
    assert b"evil" not in trust().signed_text(SIGNED + b"Suite: evil\n", "x")


@pytest.mark.parametrize("complete", [True, False])
def test_a_portals_page_is_not_taken_for_an_index(complete: bool) -> None:
    """What a captive portal answers is refused, with or without gpgv."""
    checker = trust() if complete else Trust(None, ())
    with pytest.raises(DownloadError) as caught:
        checker.signed_text(b"<html>log in</html>", "http://m.example/InRelease")
    assert str(caught.value) == (
        "http://m.example/InRelease: not a signed index "
        "[a portal or proxy may have answered in the mirror's place; look at what it sends]"
    )


def test_without_gpgv_the_text_is_read_and_the_record_says_https() -> None:
    """Where signatures cannot be checked, what is trusted is the connection, and it is called so."""
    unchecked = Trust(None, ())
    assert (unchecked.complete, unchecked.name) == (False, "https")
    assert unchecked.signed_text(SIGNED, "x").startswith(TEXT)


def test_the_host_is_looked_at() -> None:
    """gpgv and Debian's keyrings are found where distributions put them."""
    assert Trust.of_host().gpgv == shutil.which("gpgv")
