"""BTF that a user supplies: which file is for which kernel, and what is in it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from tests.btfwriter import Writer
from tests.elfwriter import bpf_object

from everykernel.architectures import ARCHITECTURES
from everykernel.errors import GuestLost, UsageError
from everykernel.kernels.supplied import Supply, for_kernel

X86, I386 = ARCHITECTURES["x86_64"], ARCHITECTURES["i386"]
RELEASE = "6.1.0-50-686-pae"


def btf(name: str = "long") -> bytes:
    writer = Writer()
    writer.integer(name, 4)
    return writer.image()


def archive(data: bytes, name: str = f"{RELEASE}.btf") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("vmlinux.btf", btf()),
        ("vmlinux", bpf_object({}, [], {".BTF": btf()})),
        (f"{RELEASE}.btf.tar.xz", archive(btf())),
    ],
    ids=["raw", "elf", "archive"],
)
def test_a_file_serves_every_kernel(name: str, data: bytes, tmp_path: Path) -> None:
    """Raw BTF, an ELF file and an archive all give the raw bytes, under the name that the user gave."""
    path = put(tmp_path, name, data)
    found = Supply.parse(str(path)).find("any release", X86)
    assert found is not None
    assert (found.name, found.data) == (str(path), btf())


@pytest.mark.parametrize("arch", ["i386", "i686"])
@pytest.mark.parametrize("suffix", [".btf", ".btf.tar.xz"])
def test_the_archives_layout(suffix: str, arch: str, tmp_path: Path) -> None:
    """A folder of distributions, versions and architectures is searched for release and architecture."""
    place = f"debian/12/{arch}/{RELEASE}{suffix}"
    put(tmp_path, place, archive(btf()) if suffix.endswith("xz") else btf())
    put(tmp_path, f"debian/12/x86_64/{RELEASE}.btf", btf("other"))
    supply = Supply.parse(str(tmp_path))
    found = supply.find(RELEASE, I386)
    assert found is not None
    assert (found.name, found.data) == (f"{tmp_path}/{place}", btf())
    assert supply.find("6.1.0-51-686-pae", I386) is None


@pytest.mark.parametrize("place", ["", "i386/"])
def test_a_flat_folder(place: str, tmp_path: Path) -> None:
    """RELEASE.btf is found without the folders above it; a release may have any sign of a name."""
    put(tmp_path, f"{place}6.12.9+deb13~1_x.btf", btf())
    assert Supply.parse(str(tmp_path)).find("6.12.9+deb13~1_x", I386) is not None
    assert Supply.parse(str(tmp_path)).find("6.12.9+deb13~2_x", I386) is None


def test_several_distributions(tmp_path: Path) -> None:
    """The kernel's own distribution wins; otherwise, several that say the same serve, and others have to be named."""
    put(tmp_path, f"debian/12/i386/{RELEASE}.btf", btf())
    put(tmp_path, f"other/1/i386/{RELEASE}.btf", btf("other"))
    supply = Supply.parse(str(tmp_path))
    found = supply.find(RELEASE, I386, "other:1")
    assert found is not None
    assert found.data == btf("other")
    with pytest.raises(
        UsageError, match=r"several BTFs for 6.1.0-50-686-pae \(i386\), and they differ: debian/12/i386"
    ):
        supply.find(RELEASE, I386, "path:/bzImage")
    put(tmp_path, f"other/1/i386/{RELEASE}.btf", btf())
    assert supply.find(RELEASE, I386, "path:/bzImage") is not None


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("text.btf", b"no BTF at all", "holds no BTF"),
        ("object.o", bpf_object({}, [], {"license": b"GPL\0"}), "holds no BTF"),
        ("broken.o", b"\x7fELF nonsense", "is no readable ELF file"),
        ("a.btf.tar.xz", b"nothing compressed", r"is not a sound \.tar\.xz"),
        ("b.btf.tar.xz", archive(b"no BTF"), "holds no BTF"),
    ],
)
def test_files_without_btf(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    """What holds no BTF is told when the option is read, before anything boots."""
    path = put(tmp_path, name, data)
    with pytest.raises(UsageError, match=rf"{name}: {message}"):
        Supply.parse(str(path))


def test_what_the_option_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SPEC=PATH is for one kernel; a path may hold the sign itself; a missing path is an error with a remedy."""
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "a=b.btf", btf())
    assert Supply.parse("a=b.btf") == Supply(Path("a=b.btf"), "a=b.btf")
    assert Supply.parse("6.1/i386=a=b.btf") == Supply(Path("a=b.btf"), "a=b.btf", "6.1/i386")
    for text in ("none.btf", "6.1=none.btf", "6.1="):
        with pytest.raises(UsageError, match=r"BTF '(none\.btf)?': there is no such file or folder \[give raw BTF"):
            Supply.parse(text)


def test_order(tmp_path: Path) -> None:
    """A kernel's own supply wins over those for all, the first of these that has its release over the rest."""
    put(tmp_path, "one/x.btf", btf("one"))
    put(tmp_path, f"two/{RELEASE}.btf", btf("two"))
    three = put(tmp_path, "three.btf", btf("three"))
    supplies = [Supply.at(str(tmp_path / name)) for name in ("one", "two")] + [Supply.at(str(three), spec="6.1/i386")]
    own, notes = for_kernel(supplies, "6.1/i386", RELEASE, I386)
    assert own is not None
    assert (own.data, notes) == (btf("three"), [])
    second, notes = for_kernel(supplies, "6.2/i386", RELEASE, I386)
    assert second is not None
    assert (second.data, notes) == (btf("two"), [])
    nothing, notes = for_kernel(supplies[:1], "6.1/i386", RELEASE, I386)
    assert (nothing, notes) == (None, [f"{tmp_path}/one has no BTF for {RELEASE} (i386)"])


@pytest.mark.parametrize("release", ["../outside", "/etc/x", "a/../../outside", ""])
def test_a_guest_cannot_choose_a_file_outside_of_the_folder(tmp_path: Path, release: str) -> None:
    """The release is what the guest says: one that leads elsewhere is the guest's end, and nothing is read."""
    put(tmp_path, "outside.btf", btf())
    (tmp_path / "folder").mkdir()
    with pytest.raises(GuestLost) as caught:
        Supply.parse(str(tmp_path / "folder")).find(release, X86)
    assert str(caught.value) == (
        f"{tmp_path}/folder: {release!r} is no name for a kernel's release [it would lead out of its folder]"
    )


def test_a_file_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device, or a file that no BTF can be, is read as far as BTF could go."""
    monkeypatch.setattr("everykernel.kernels.supplied._LIMIT", 1 << 20)
    with pytest.raises(UsageError, match="/dev/zero: has more than 1 MiB, which no BTF has"):
        Supply.parse("/dev/zero")
