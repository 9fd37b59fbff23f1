"""Source by situation: a real kernel comes whole, vouched for, and boots; or one line says why not, and nothing stays.

Each source's server has Debian's 6.1 of this machine, repackaged by that source's own tools (tests/kernels/stands.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import os
import re
import resource
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from everykernel import cache, kernels
from everykernel.cli import main
from everykernel.errors import EverykernelError
from everykernel.kernels import lock, store
from everykernel.kernels.model import Kernel
from everykernel.kernels.resolver import Resolver
from everykernel.kernels.sources import mainline
from everykernel.machine import Machines

from ..kernels import loopback, stands
from ..kernels.archive import Server
from ..kernels.published import Signer
from ..kernels.stands import LOCKED, MAKERS, Content, Stand
from ..kernels.test_download import Recorder

pytestmark = pytest.mark.vm

SHARED = cache.root()  # each test has an empty cache of its own; guests start from the shared one
FOLDERS = ("drivers/virtio", "drivers/char", "drivers/block", "net/9p", "fs/9p")
MADE = "20261129T060000Z"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(cache.ROOT_SETTING, str(tmp_path / "cache"))
    monkeypatch.setattr(mainline, "_FLAVOURS", (stands.FLAVOUR,))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    yield tmp_path / "cache"
    store.release_all()
    cache.let_go()


@pytest.fixture(scope="module")
def content(columns: dict[str, Kernel]) -> Content:
    """Debian's kernel, with its modules for virtio."""
    linux = columns["6.1"]
    assert linux.modules is not None
    modules = {}
    for path in linux.modules.rglob("*"):
        below = path.relative_to(linux.modules).as_posix()
        if ".ko" in path.name and any(f"kernel/{folder}/" in below for folder in FOLDERS):
            data = path.read_bytes()
            modules[below.removesuffix(".xz")] = lzma.decompress(data) if path.suffix == ".xz" else data
        elif path.name == "modules.builtin":
            modules[below] = path.read_bytes()
    assert any("virtio_console.ko" in name for name in modules)
    return Content(linux.release, linux.image.read_bytes(), modules)


class Made:
    """Stands, each made when it is first asked for."""

    def __init__(self, top: Path, content: Content, other: bytes) -> None:
        self.signer = Signer.make(top / "gpg", "ours")
        self._top, self._content = top, content
        claimed = content.release.replace(content.version, f"9{content.version[1:]}", 1)
        self._contents = {
            "": content,
            "another release": Content(claimed, content.image, {}),
            "another architecture": Content(content.release, other, {}),
        }
        self._known: dict[tuple[str, str], Stand] = {}

    def get(self, source: str, kind: str = "") -> Stand:
        if (source, kind) not in self._known:
            self._known[source, kind] = self._make(source, kind)
        return self._known[source, kind]

    def _make(self, source: str, kind: str) -> Stand:
        folder = self._top / f"{source}-{kind or 'whole'}".replace(" ", "-")
        folder.mkdir()
        signer = None if kind == "another key" else self.signer
        return MAKERS[source](folder, self._contents.get(kind, self._content), signer)


@pytest.fixture(scope="module")
def made(content: Content, columns: dict[str, Kernel], tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("made"), content, columns["6.1/i386"].image.read_bytes())


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def fetch(stand: Stand, server: Server, spec: str = "", progress: Recorder | None = None) -> Kernel:
    source = stand.source(server.url)
    return kernels.resolve(stand.named(spec or stand.spec, server), progress, sources=[source])[0].fetch(progress)


def left(root: Path) -> list[str]:
    """What a cache has beside indexes and locks, parts and temporary files too."""
    found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return [name for name in found if not name.startswith(("indexes/", "locks/"))]


@pytest.mark.parametrize("source", MAKERS)
def test_a_guest_boots_from_what_was_fetched(
    source: str, made: Made, server: Server, machines: Machines, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole and vouched for as the record says, with the modules that the guest's channel needs.

    Sources that gave the same bytes share a snapshot: the guest of the first of them booted.
    """
    stand = made.get(source)
    server.files |= stand.files
    kernel = fetch(stand, server)
    assert (kernel.release, kernel.signed) == (content.release, stand.signed)
    stored = store.at(kernel)
    assert stored is not None
    keys = {row["key"] for row in stored.record["packages"]}
    assert keys == ({made.signer.fingerprint} if stand.keyed else {""})
    assert kernel.modules is not None
    monkeypatch.setenv(cache.ROOT_SETTING, str(SHARED))
    with machines.start(kernel) as guest:
        assert guest.facts.release == content.release


# -- what goes well all the same ------------------------------------------------------------------------------------


def moved(server: Server, path: str) -> None:
    """Have a server send elsewhere for a file, in each way that there is."""
    server.files[f"{path}.4"] = server.files.pop(path)
    for step, status in enumerate((301, 302, 307, 308)):
        server.redirects[f"{path}.{step}" if step else path] = f"{path}.{step + 1}"
        server.codes[f"{path}.{step}" if step else path] = status


@pytest.mark.parametrize("source", MAKERS)
def test_redirects(source: str, made: Made, server: Server, content: Content) -> None:
    """A package, an index and what signs them may be elsewhere: 301, 302, 307, 308."""
    stand = made.get(source)
    server.files |= stand.files
    signed = [path for path in stand.files if path.endswith(("InRelease", "repomd.xml", "repomd.xml.asc", ".sig"))]
    for path in {stand.package, *stand.indexes, *signed}:
        moved(server, path)
    assert fetch(stand, server).release == content.release
    assert f"{stand.package}.4" in server.paths()


@pytest.mark.parametrize("source", MAKERS)
def test_a_server_that_dies_half_way(source: str, made: Made, server: Server, content: Content) -> None:
    """What broke off goes on where it did: by its size and digest, else by the ETag of what came before."""
    stand = made.get(source)
    server.files |= stand.files
    half = len(stand.files[stand.package]) // 2
    server.break_after[stand.package] = half
    server.tags[stand.package] = '"as it was"'
    assert fetch(stand, server).release == content.release
    assert [wanted for path, wanted in server.asked if path == stand.package][:2] == ["", f"bytes={half}-"]


@pytest.mark.parametrize("source", [source for source in MAKERS if source != "url"])  # nothing supersedes a URL
def test_what_is_superseded(source: str, made: Made, server: Server, content: Content, tmp_path: Path) -> None:
    """What only a pool, a vault or an archive has any more comes from there, by its own name or by a lock."""
    stand = made.get(source)
    server.files |= stand.files
    earlier = content.earlier()
    if stand.earlier != LOCKED:
        assert fetch(stand, server, stand.earlier).release == earlier.release
        return
    path = locked(stand, server, tmp_path, earlier)
    kernel = Resolver([stand.source(server.url)], lock=lock.read(path)).resolve(kernels.parse(stand.spec))[0].fetch()
    assert (kernel.release, kernel.version) == (earlier.release, f"{content.version}-1")


def locked(stand: Stand, server: Server, folder: Path, earlier: Content) -> Path:
    """Write a lock of the earlier package, as it was written when the index had it."""
    newest = fetch(stand, server)
    stored = store.at(newest)
    assert stored is not None
    path = folder / lock.FILENAME
    lock.write(path, MADE, [(stand.spec, newest, stored)])
    store.remove(stored)
    pooled = next(data for name, data in stand.files.items() if f"linux-image-{earlier.release}_" in name)
    was, text = lock.read(path).kernels[0], path.read_text()
    (package,) = was.candidate.packages
    swaps = {
        package.sha256: sha256(pooled),
        was.image: sha256(earlier.image),
        f'"size": {package.size}': f'"size": {len(pooled)}',
        was.candidate.release: earlier.release,
        f"{earlier.version}-2": f"{earlier.version}-1",
    }
    for before, after in swaps.items():
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
    return path


@pytest.mark.parametrize("source", MAKERS)
def test_a_lock(source: str, made: Made, server: Server, content: Content, tmp_path: Path) -> None:
    """A lock means the same kernel again, whatever its source calls it, from the cache too where its server is away.

    Another digest in it stops in one line.
    """
    stand = made.get(source)
    server.files |= stand.files
    spec = stand.named(stand.spec, server)
    kernel = fetch(stand, server)
    stored = store.at(kernel)
    assert stored is not None
    path = tmp_path / lock.FILENAME
    lock.write(path, MADE, [(spec, kernel, stored)])
    store.remove(stored)
    progress = Recorder()
    resolver = Resolver([stand.source(server.url)], progress, lock=lock.read(path))
    assert resolver.resolve(kernels.parse(spec))[0].fetch().digest == kernel.digest
    assert progress.notes == []
    (again,) = store.stored()
    store.remove(again)
    text = path.read_text()
    path.write_text(text.replace(stored.record["packages"][0]["sha256"], "0" * 64))
    resolver = Resolver([stand.source(server.url)], lock=lock.read(path), locked=True)
    with pytest.raises(EverykernelError, match=r"is not what everykernel\.lock says|has left oci's archive") as caught:
        resolver.resolve(kernels.parse(spec))[0].fetch()
    assert "\n" not in str(caught.value)
    path.write_text(text)
    fetch(stand, server)
    server.stop()
    try:
        resolver = Resolver([stand.source(server.url)], lock=lock.read(path), locked=True)
        assert resolver.resolve(kernels.parse(spec))[0].fetch().digest == kernel.digest
    finally:
        server.__enter__()


PLUGIN_TEST = """
def test_it(kernel):
    release = kernel.run(["uname", "-r"]).stdout.decode().strip()
    assert release == kernel.release
    with open("seen", "a") as file:
        file.write(release + "\\n")
"""
PLUGIN_CONFTEST = """
import sys
from pathlib import Path

sys.path.insert(0, {top!r})

from tests.kernels import loopback

loopback.pretend({url!r}, Path({keyrings!r}))
"""


def test_two_runs_of_the_plugin_a_package_apart(
    pytester: pytest.Pytester,
    made: Made,
    content: Content,
    server: Server,
    machines: Machines,
    linux: Kernel,
    own_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """pytest --kernel-locked boots the same kernel before and after the archive has a newer one."""
    monkeypatch.setenv(cache.ROOT_SETTING, str(SHARED))
    machines.prepare(linux)  # so that the image of guests is there, which Debian's real archive is needed for
    own_cache.mkdir(mode=0o700)
    for name in ("images", "snapshots", "locks"):
        (own_cache / name).symlink_to(SHARED / name)
    archive = loopback.Archive(tmp_path, server, made.signer)
    before = archive.add("bookworm-security", content.release, f"{content.version}-1", debian_members(content))
    archive.publish()
    for name, value in {cache.ROOT_SETTING: str(own_cache), **loopback.settings(server.url)}.items():
        monkeypatch.setenv(name, value)
    conftest = {"top": str(Path(__file__).parents[2]), "url": server.url, "keyrings": str(archive.keyrings)}
    pytester.makeconftest(PLUGIN_CONFTEST.format(**conftest))
    pytester.makepyfile(PLUGIN_TEST)
    with monkeypatch.context() as patched:
        loopback.pretend(server.url, archive.keyrings, patched.setattr)
        patched.chdir(pytester.path)
        assert main(["kernels", "lock", "--kernels", "6.1"]) == 0
    run = ("--kernel-locked", "--kernels", "6.1")
    pytester.runpytest_subprocess(*run).assert_outcomes(passed=1)
    later = content.later()
    kept = before.rename(tmp_path / before.name)
    archive.add("bookworm-security", later.release, f"{content.version}-2", debian_members(later))
    archive.publish(pooled={"bookworm-security": kept})
    for one in store.stored():
        store.remove(one)
    pytester.runpytest_subprocess(*run).assert_outcomes(passed=1)
    assert (pytester.path / "seen").read_text().split() == [content.release] * 2


def debian_members(content: Content) -> dict[str, bytes]:
    return {f"boot/vmlinuz-{content.release}": content.image} | content.tree()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# -- what does not ---------------------------------------------------------------------------------------------------


def damaged(server: Server, stand: Stand) -> None:
    data = stand.files[stand.package]
    middle = len(data) // 2
    server.files[stand.package] = data[:middle] + bytes(64) + data[middle + 64 :]


def truncated(server: Server, stand: Stand) -> None:
    server.files[stand.package] = stand.files[stand.package][:-999]


def lost(server: Server, stand: Stand) -> None:
    del server.files[stand.package]


def out_of_step(server: Server, stand: Stand) -> None:
    """Have the lists of packages be of another day than what is there."""
    for path in stand.indexes:
        data = re.sub(rb"\b[0-9a-f]{64}\b", b"0" * 64, stand.files[path]).replace(b"arch1-2", b"arch1-3")
        server.files[path] = data if data != stand.files[path] else data[:-9]


def forged(server: Server, stand: Stand) -> None:
    """Change what is signed, or the signature itself, behind its signer's back."""
    for path in [path for path in server.files if path.endswith(("InRelease", "repomd.xml"))]:
        data = server.files[path]
        server.files[path] = data.replace(b"Date: ", b"Date:  ").replace(b"<revision>", b"<revision>1")
    for path in [path for path in server.files if path.endswith("pkg.tar.zst.sig")]:
        server.files[path] = server.files[path][:-9] + bytes(9)


def to_a_file(server: Server, stand: Stand) -> None:
    server.redirects[stand.package] = "file:///etc/passwd"


def nothing(server: Server, stand: Stand) -> None:
    """Leave the server as it is: another stand says what is wrong."""


def gone(server: Server, stand: Stand) -> None:
    server.stop()


DIGEST = r"not the file that the signed index promises \(SHA-256\)"
UNSOUND = "not a sound package: "
SIGNATURE = "the signature is n"
OTHER_KEY = "signed by (the|a) key "


@dataclass(frozen=True)
class Situation:
    """What is wrong, and what is said of it.

    Attributes:
        name: of the situation, and of the stand if it is one of its own.
        spoil: does it to the server.
        message: what the line has, for most sources.
        others: for those that say something else.
        without: sources to which it cannot happen, and why.
        stand: whether the packages themselves are others.
    """

    name: str
    spoil: Callable[[Server, Stand], None]
    message: str
    others: Mapping[str, str] = field(default_factory=dict)
    without: Mapping[str, str] = field(default_factory=dict)
    stand: bool = False


UNSIGNED = {"mainline": "nobody signs it", "oci": "digests alone", "url": "nobody signs it"}
SITUATIONS = (
    Situation("a digest that is not the index's", damaged, DIGEST, {"arch": SIGNATURE, "url": UNSOUND}),
    Situation("truncated", truncated, "bytes instead of", {"arch": SIGNATURE, "url": UNSOUND, "mainline": DIGEST}),
    Situation("lost (404)", lost, r"not there \(HTTP 404\)"),
    Situation(
        "a mirror out of step",
        out_of_step,
        "not the file that the signed index promises",
        {"rocky": "out of step with its own index", "leap": "out of step with its own index", "arch": "404"},
        {"url": "it has no index", "oci": "a tag's manifest is the index, and whatever it names is what is meant"},
    ),
    Situation("a signature that is not good", forged, SIGNATURE, {}, UNSIGNED | {"rocky": "its index is not signed"}),
    Situation("another key", nothing, OTHER_KEY, {}, UNSIGNED, stand=True),
    Situation("a redirect to a file", to_a_file, "unsupported protocol 'file://'"),
    Situation("another architecture", nothing, "holds a kernel for i686, not for x86_64", stand=True),
    Situation(
        "another release",
        nothing,
        r"claims to be 9\.1.*, and its image is 6\.1",
        {},
        {"oci": "only its image tells", "url": "only its image tells"},
        stand=True,
    ),
    Situation("no network", gone, "Connection refused"),
)
CELLS = [
    pytest.param(source, one, id=f"{source}-{one.name}")
    for one in SITUATIONS
    for source in MAKERS
    if source not in one.without
]


@pytest.mark.parametrize(("source", "situation"), CELLS)
def test_one_line_and_nothing_stays(
    source: str, situation: Situation, made: Made, server: Server, own_cache: Path
) -> None:
    """What is wrong is told in one line that names the source's own setting, and nothing of the kernel is kept."""
    stand = made.get(source, situation.name if situation.stand else "")
    server.files |= stand.files
    situation.spoil(server, stand)
    try:
        with pytest.raises(EverykernelError) as caught:
            fetch(stand, server)
    finally:
        if situation.spoil is gone:
            server.__enter__()
    text = str(caught.value)
    pattern = situation.others.get(source, situation.message)
    assert re.search(pattern, text), text
    assert "\n" not in text
    assert source == "debian" or "EVERYKERNEL_DEBIAN_MIRROR" not in text
    assert left(own_cache) == []


# -- a full disk -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def room(folder: Path, size: int) -> Iterator[str]:
    """Give the cache a disk of so many bytes where we may mount one, else files of that size; yield which."""
    folder.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode == 0:
        try:
            yield "disk"
        finally:
            store.release_all()
            cache.let_go()
            subprocess.run(["umount", "--lazy", folder], check=True)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))  # Python ignores SIGXFSZ: writing fails with EFBIG
    try:
        yield "limit"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


KINDS = {"disk": "a disk that is full (tmpfs)", "limit": "a limit of files' sizes (no right to mount a disk)"}
SAID = {"disk": "no space left for the cache", "limit": "the cache cannot be used: File too large"}


@pytest.mark.parametrize("when", ["downloading", "unpacking"])
@pytest.mark.parametrize("source", MAKERS)
def test_no_space(
    source: str,
    when: str,
    made: Made,
    content: Content,
    server: Server,
    own_cache: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A full disk is told as such, and has its room back."""
    stand = made.get(source)
    server.files |= stand.files
    sizes = [
        len(data) for path, data in stand.files.items() if path.rpartition("/")[0] == stand.package.rpartition("/")[0]
    ]
    size = 4 << 20 if when == "downloading" else sum(sizes) + (1 << 20)
    with room(own_cache, size) as how:
        with capsys.disabled():
            os.write(2, f"\nno space is {KINDS[how]}\n".encode() if source == "debian" else b"")
        if how == "limit" and when == "unpacking":
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(content.image) - 1, resource.RLIM_INFINITY))
        with pytest.raises(EverykernelError) as caught:
            fetch(stand, server)
        assert SAID[how] in str(caught.value)
        assert "\n" not in str(caught.value)
        assert left(own_cache) == []
