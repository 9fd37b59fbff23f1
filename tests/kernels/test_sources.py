"""Each source gives a whole, vouched-for kernel from a server laid out as its own, or one line that says why not."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from everykernel import cache, kernels
from everykernel.errors import CacheError, DownloadError, EverykernelError, UnknownKernel, UsageError
from everykernel.kernels import Kernel, catalogue, lock, store
from everykernel.kernels.debian import Archive
from everykernel.kernels.resolver import Resolver
from everykernel.kernels.sources.debian import Debian
from everykernel.kernels.sources.file import File
from everykernel.kernels.sources.mainline import Mainline
from everykernel.kernels.sources.protocol import Source
from everykernel.kernels.sources.ubuntu import Ubuntu, UbuntuMirror
from everykernel.kernels.trust import Trust

from .archive import Server, TinyArchive, bzimage, kernel_image
from .published import Signer, mainline, publish, serve, ubuntu_debs
from .test_download import Recorder
from .test_resolver import OFFLINE

RELEASE = "6.8.0-31-generic"
POOL = "pool/main/l/linux"


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer.make(tmp_path_factory.mktemp("gpg") / "ours", "ours")


@pytest.fixture
def top(tmp_path: Path, server: Server, signer: Signer) -> Path:
    """Ubuntu's archive with one 6.8 in one suite, and a superseded one that only the pool has."""
    top = tmp_path / "ubuntu"
    (top / POOL).mkdir(parents=True)
    ubuntu_debs(top / POOL, RELEASE, "6.8.0-31.31", kernel_image(RELEASE))
    for suite in ("noble", "noble-updates", "noble-security"):
        (top / suite).mkdir(exist_ok=True)
    publish(server, top, "/ubuntu", {"noble-updates": POOL, "noble": "noble", "noble-security": "noble"}, signer)
    superseded = "6.8.0-22-generic"
    ubuntu_debs(top / POOL, superseded, "6.8.0-22.22", kernel_image(superseded))
    serve(server, top, "/ubuntu")
    return top


def ubuntu(server: Server, signer: Signer, *, update: bool = False) -> Ubuntu:
    url = f"{server.url}/ubuntu"
    known = replace(catalogue.load(distribution="ubuntu"), snapshot=f"{server.url}/snapshot/{{time}}")
    mirror = UbuntuMirror(url, url, f"{server.url}/old-releases", "setting")
    trust = Trust("gpgv", (signer.public,), "our copy of ubuntu's keys", "update everykernel, if the key is new")
    return Ubuntu(Archive(catalogue=known, mirror=mirror, trust=trust, update=update, prefix="ubuntu-"))


def built(server: Server, **more: str) -> Mainline:
    return Mainline({"EVERYKERNEL_MAINLINE_MIRROR": f"{server.url}/mainline"} | more)


def fetch(spec: str, *sources: Source, progress: Recorder | None = None) -> Kernel:
    return kernels.resolve(spec, progress, sources=sources)[0].fetch(progress)


def nothing_broken(root: Path) -> bool:
    """Tell whether the cache has neither a kernel nor a package, not even a part."""
    found = [path for name in ("kernels", "packages") for path in (root / name).glob("*") if (root / name).is_dir()]
    return not found


def test_ubuntu(top: Path, server: Server, signer: Signer) -> None:
    """Image and modules come from two packages, by the digests of an index that Ubuntu's key signed."""
    kernel = fetch("ubuntu:6.8", ubuntu(server, signer))
    assert (kernel.release, kernel.source, kernel.signed) == (RELEASE, "ubuntu:noble-updates", "gpgv")
    assert kernel.modules is not None
    assert (kernel.modules / "kernel/a.ko.zst").read_bytes() == b"a module"
    assert kernel.config is not None
    assert kernel.notes == ()
    assert kernel.image.parent.name == f"x86_64-ubuntu-{RELEASE}_6.8.0-31.31"


def test_what_only_the_pool_has(top: Path, server: Server, signer: Signer) -> None:
    """A superseded release is found in the pool; nobody signed for it, and the record says so."""
    kernel = fetch("ubuntu:6.8.0-22-generic", ubuntu(server, signer))
    assert (kernel.release, kernel.source, kernel.signed) == ("6.8.0-22-generic", "ubuntu:pool", "none")
    assert len(kernel.sha256) == 64


def test_another_key_is_refused(top: Path, server: Server, tmp_path: Path, cache_root: Path) -> None:
    """A repository that somebody else signed gives nothing, with the key that we bring for Ubuntu too."""
    for trust in (Signer.make(tmp_path / "other", "other"), None):
        source = (
            ubuntu(server, trust) if trust else ubuntu(server, Signer(tmp_path, Trust.of_vendor("ubuntu").keyrings[0]))
        )
        with pytest.raises(DownloadError, match="signed by a key that our copy of ubuntu's keys does not have"):
            fetch("ubuntu:6.8", source)
    assert nothing_broken(cache_root)


def package(server: Server, part: str) -> str:
    return next(path for path in server.files if part in path and path.endswith("31.31_amd64.deb"))


def damage(server: Server) -> None:
    path = package(server, "image-unsigned")
    server.files[path] = server.files[path][:-9] + b"xxxxxxxxx"


def truncate(server: Server) -> None:
    path = package(server, "modules")
    server.files[path] = server.files[path][:-9]


def lose(server: Server) -> None:
    del server.files[package(server, "modules")]


def index(server: Server) -> None:
    for path in [path for path in server.files if path.endswith(("Packages.xz", "Packages"))]:
        server.files[path] = b"of another day"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (damage, "SHA-256"),
        (truncate, "bytes instead of"),
        (lose, "HTTP 404"),
        (index, "not the file that the signed index promises"),
        (Server.stop, "Connection refused"),
    ],
)
def test_one_line_and_nothing_broken(
    top: Path, server: Server, signer: Signer, cache_root: Path, spoil: object, message: str
) -> None:
    """A bad digest, a truncated package, one that is gone, an index out of step, no network: told, and not kept."""
    assert callable(spoil)
    spoil(server)
    with pytest.raises(EverykernelError, match=message) as caught:
        fetch("ubuntu:6.8", ubuntu(server, signer))
    assert "\n" not in str(caught.value)
    assert "EVERYKERNEL_DEBIAN_MIRROR" not in str(caught.value)
    assert not list((cache_root / "kernels").glob("*"))
    if spoil is Server.stop:
        server.__enter__()


def test_a_server_that_dies_half_way(top: Path, server: Server, signer: Signer) -> None:
    """What broke off goes on where it broke off."""
    server.break_after[package(server, "modules")] = 200
    assert fetch("ubuntu:6.8", ubuntu(server, signer)).release == RELEASE


def test_no_space(top: Path, server: Server, signer: Signer, monkeypatch: pytest.MonkeyPatch, cache_root: Path) -> None:
    """A full disk is told as such, and leaves no kernel behind."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(CacheError, match="no space left for the cache"):
        fetch("ubuntu:6.8", ubuntu(server, signer))
    assert not [path for path in (cache_root / "kernels").glob("*") if not path.name.startswith(".")]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (kernel_image("6.12.1-1-generic"), f"claims to be {RELEASE}, and its image is 6.12.1-1-generic"),
        (bzimage(RELEASE, b"", wide=False), "holds a kernel for i686, not for x86_64"),
        (b"MZ no kernel", "its kernel image cannot be read"),
    ],
)
def test_a_kernel_is_what_it_says(
    tmp_path: Path, server: Server, signer: Signer, cache_root: Path, image: bytes, message: str
) -> None:
    """A package that holds another release, or another architecture's kernel, is refused and not kept."""
    top = tmp_path / "ubuntu"
    (top / POOL).mkdir(parents=True)
    (top / "none").mkdir()
    ubuntu_debs(top / POOL, RELEASE, "6.8.0-31.31", image)
    publish(server, top, "/ubuntu", {"noble-updates": POOL, "noble": "none", "noble-security": "none"}, signer)
    with pytest.raises(DownloadError, match=message):
        fetch("ubuntu:6.8", ubuntu(server, signer))
    assert nothing_broken(cache_root)


@pytest.fixture
def builds(tmp_path: Path, server: Server, signer: Signer) -> Path:
    """Builds of 6.8, the newest of which failed."""
    top = tmp_path / "mainline"
    mainline(top, "6.8.11", "6.8.11-060811-generic", "6.8.11-060811.1", kernel_image("6.8.11-060811-generic"), signer)
    (top / "v6.8.12").mkdir()
    serve(server, top, "/mainline")
    return top


def test_mainline(builds: Path, server: Server) -> None:
    """The newest version that was built is taken; over plain HTTP nobody vouches, and the record says so."""
    kernel = fetch("mainline:6.8", built(server))
    assert (kernel.release, kernel.source) == ("6.8.11-060811-generic", "mainline:v6.8.11")
    assert (kernel.signed, kernel.modules is not None) == ("none", True)


def test_mainline_by_its_checksums(builds: Path, server: Server, cache_root: Path) -> None:
    """A package that is not what CHECKSUMS says is refused."""
    path = next(path for path in server.files if "image-unsigned" in path)
    server.files[path] += b"x"
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch("mainline:6.8.11", built(server))
    assert nothing_broken(cache_root)


def test_mainline_by_its_signature(builds: Path, server: Server, signer: Signer) -> None:
    """Who has the key has the signature of CHECKSUMS checked, and the record says so."""
    (found,) = kernels.resolve("mainline:6.8", sources=[built(server, EVERYKERNEL_MAINLINE_KEY=str(signer.public))])
    kernel = found.fetch()
    assert kernel.signed == "gpgv"
    stored = store.at(kernel)
    assert stored is not None
    assert [one.key for one in store.candidate(stored).packages] == [signer.fingerprint] * 2


def forged(server: Server) -> None:
    path = next(path for path in server.files if path.endswith("CHECKSUMS"))
    server.files[path] += b"# more\n"


def unsigned(server: Server) -> None:
    del server.files[next(path for path in server.files if path.endswith("CHECKSUMS.gpg"))]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (forged, "CHECKSUMS: the signature is not good: it is not what was signed"),
        (unsigned, "CHECKSUMS: is not signed: there is no CHECKSUMS.gpg"),
        (None, "CHECKSUMS: signed by the key [0-9A-F]+, which is none of its distribution's"),
    ],
)
def test_mainline_signed_by_nobody_or_another(
    builds: Path, server: Server, signer: Signer, tmp_path: Path, cache_root: Path, spoil: object, message: str
) -> None:
    """With a key, a changed CHECKSUMS, one without signature and one that another signed give nothing."""
    key = signer.public if spoil else Signer.make(tmp_path / "another", "another").public
    if callable(spoil):
        spoil(server)
    with pytest.raises(DownloadError, match=message):
        fetch("mainline:6.8", built(server, EVERYKERNEL_MAINLINE_KEY=str(key)))
    assert nothing_broken(cache_root)


def test_a_mainline_key_that_is_not_there(server: Server) -> None:
    """A setting that names no file is a usage error, not a signature that goes unchecked."""
    with pytest.raises(UsageError, match=r"^EVERYKERNEL_MAINLINE_KEY: 'gone\.asc' is no file "):
        built(server, EVERYKERNEL_MAINLINE_KEY="gone.asc")


def test_a_redirect(builds: Path, server: Server) -> None:
    """A server may send elsewhere for a package."""
    path = next(path for path in server.files if "image-unsigned" in path)
    server.files["/elsewhere.deb"] = server.files.pop(path)
    server.redirects[path] = "/elsewhere.deb"
    assert fetch("mainline:6.8", built(server)).release == "6.8.11-060811-generic"


def test_a_file_and_a_url(builds: Path, server: Server) -> None:
    """A package by path or URL tells by its image what it is; the user's own file stays."""
    (path,) = builds.rglob("linux-image-unsigned*.deb")
    kernel = fetch(str(path), File())
    assert (kernel.release, kernel.series, kernel.signed) == ("6.8.11-060811-generic", "6.8", "none")
    assert path.exists()
    assert fetch(f"{server.url}/mainline/{path.relative_to(builds)}", File()).release == kernel.release


def test_the_sources_are_asked_in_order(
    tiny: TinyArchive, top: Path, builds: Path, server: Server, signer: Signer
) -> None:
    """The first that has a series serves it; where none has, the line names each and the nearest at hand."""
    debian = Debian(tiny.archive())
    sources: Sequence[Source] = (debian, ubuntu(server, signer), built(server))
    found = kernels.resolve("5.10,6.1,6.8", sources=sources)
    assert [one.source.partition(":")[0] for one in found] == ["debian", "debian", "ubuntu"]
    assert kernels.resolve("6.8", sources=sources[::-1])[0].source == "mainline:v6.8.11"
    with pytest.raises(UnknownKernel) as caught:
        kernels.resolve("6.9", sources=sources)
    told = (
        "6.9: no source has kernel 6.9: debian has none, ubuntu has none, mainline has none [the nearest to be had is"
    )
    assert str(caught.value).startswith(f"{told} 6.8,")


def test_a_further_source_out_of_reach_is_noted_once(tiny: TinyArchive, server: Server, signer: Signer) -> None:
    """Ranges go on without it, and say so once; a series that only it may have stops, and names who was asked."""
    away = ubuntu(server, signer)  # nothing of Ubuntu's is on the server
    away.archive.mirror = away.archive._indexes.mirror = UbuntuMirror(
        OFFLINE.debian, OFFLINE.security, OFFLINE.archive, "setting"
    )
    sources = (Debian(tiny.archive()), away)
    progress = Recorder()
    found = kernels.resolve("5.10..6.12", progress, sources=sources)
    assert [one.spec for one in found] == ["5.10", "6.1", "6.12"]
    assert len([note for note in progress.notes if note.startswith("ubuntu is left out of")]) == 1
    with pytest.raises(
        DownloadError, match=r"^6\.8: debian has none, and ubuntu could not be asked: .*Connection refused"
    ):
        kernels.resolve("6.8", sources=sources)


def locked(tmp_path: Path, source: Source) -> Path:
    """Write a lock of ubuntu:6.8, and forget the kernel."""
    kernel = fetch("ubuntu:6.8", source)
    stored = store.at(kernel)
    assert stored is not None
    lock.write(tmp_path / lock.FILENAME, "20261129T060000Z", [("ubuntu:6.8", kernel, stored)])
    store.remove(stored)
    return tmp_path / lock.FILENAME


def by_lock(
    path: Path, source: Source, progress: Recorder, *, strict: bool = False, spec: str = "ubuntu:6.8"
) -> Kernel:
    resolver = Resolver([source], progress, lock=lock.read(path), locked=strict)
    return resolver.resolve(kernels.parse(spec))[0].fetch(progress)


def renewed(top: Path, server: Server, signer: Signer) -> None:
    """Publish a newer 6.8, and take the one before out of index and pool."""
    shutil.rmtree(top / POOL)
    (top / POOL).mkdir()
    ubuntu_debs(top / POOL, "6.8.0-40-generic", "6.8.0-40.40", kernel_image("6.8.0-40-generic"))
    for path in [path for path in server.files if path.startswith(f"/ubuntu/{POOL}")]:
        server.files[path.replace("/ubuntu/", "/snapshot/20261129T060000Z/")] = server.files.pop(path)
    publish(server, top, "/ubuntu", {"noble-updates": POOL}, signer)


def test_two_runs_a_package_apart_take_the_same(top: Path, server: Server, signer: Signer, tmp_path: Path) -> None:
    """What left the archive comes from the snapshot service; that something is newer is a note."""
    path = locked(tmp_path, ubuntu(server, signer))
    (held,) = lock.read(path).kernels
    assert [one.key for one in held.candidate.packages] == [signer.fingerprint] * 2
    renewed(top, server, signer)
    progress = Recorder()
    kernel = by_lock(path, ubuntu(server, signer, update=True), progress)
    assert (kernel.release, kernel.signed) == (RELEASE, "gpgv"), "by the digest that the signed index had"
    assert "ubuntu:6.8: 6.8.0-40.40 is there, everykernel.lock has 6.8.0-31.31" in progress.notes


def test_what_is_nowhere_any_more(top: Path, server: Server, signer: Signer, tmp_path: Path) -> None:
    """A version that neither archive, snapshot nor cache has is told with what took its place."""
    path = locked(tmp_path, ubuntu(server, signer))
    renewed(top, server, signer)
    for gone in [one for one in server.files if one.startswith("/snapshot/")]:
        del server.files[gone]
    with pytest.raises(
        DownloadError, match=r"6\.8\.0-31\.31 has left ubuntu's archive, and 6\.8\.0-40\.40 has taken its"
    ):
        by_lock(path, ubuntu(server, signer, update=True), Recorder())


def test_a_changed_digest_stops(top: Path, server: Server, signer: Signer, tmp_path: Path) -> None:
    """A lock whose digest is another's stops the run, whether the kernel is in the cache or not."""
    source = ubuntu(server, signer)
    path = locked(tmp_path, source)
    text = path.read_text()
    digest = lock.read(path).kernels[0].candidate.packages[0].sha256
    path.write_text(text.replace(digest, "0" * 64))
    with pytest.raises(DownloadError, match=r"is not what everykernel\.lock says"):
        by_lock(path, source, Recorder())
    fetch("ubuntu:6.8", source)
    with pytest.raises(DownloadError, match=r"are not those that everykernel\.lock has"):
        by_lock(path, source, Recorder())


def test_locked_takes_nothing_else(top: Path, server: Server, signer: Signer, tmp_path: Path) -> None:
    """With --locked a spec that the lock does not know is refused; what it knows needs no index."""
    source = ubuntu(server, signer)
    path = locked(tmp_path, source)
    assert by_lock(path, source, Recorder(), strict=True).release == RELEASE
    with pytest.raises(
        UnknownKernel, match=r"^6\.1: is not in everykernel\.lock \[everykernel kernels lock adds it\]$"
    ):
        by_lock(path, source, Recorder(), strict=True, spec="6.1")


def test_no_lock_is_told_in_one_line(tmp_path: Path) -> None:
    """A file that is no lock says how to have one."""
    (tmp_path / lock.FILENAME).write_text("{}")
    with pytest.raises(
        EverykernelError, match=r"is no lock that can be read: .* \[everykernel kernels lock writes it anew\]"
    ):
        lock.find(tmp_path)
    assert cache.folder("kernels").is_dir()
