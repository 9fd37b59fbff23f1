"""Kernels from RPM repositories, Arch's archive and registries, made by their own tools and served on this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from everykernel import kernels
from everykernel.errors import DownloadError, EverykernelError, UnknownKernel, UsageError
from everykernel.kernels import Kernel, store
from everykernel.kernels.sources.arch import Arch
from everykernel.kernels.sources.file import File
from everykernel.kernels.sources.oci import INSECURE, Oci
from everykernel.kernels.sources.protocol import Source
from everykernel.kernels.sources.rpm import Rpm

from . import vendors
from .archive import Server, bzimage, kernel_image
from .published import Signer, run, serve

OLD, NEW = ("5.14.0", "427.13.1.el9_4"), ("5.14.0", "503.11.1.el9_5")
RELEASE = "5.14.0-503.11.1.el9_5.x86_64"


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer.make(tmp_path_factory.mktemp("gpg") / "ours", "ours")


def fetch(spec: str, *sources: Source) -> Kernel:
    return kernels.resolve(spec, sources=sources)[0].fetch()


def kernel_rpms(folder: Path, version: tuple[str, str], key: Signer | None, image: bytes | None = None) -> None:
    """The packages that RHEL makes of a kernel since 9.2."""
    release = f"{version[0]}-{version[1]}.x86_64"
    top = f"lib/modules/{release}"
    core = {
        f"{top}/vmlinuz": image or kernel_image(release),
        f"{top}/config": b"CONFIG_BPF=y\n",
        f"{top}/System.map": b"",
    }
    vendors.rpm(folder, "kernel-core", *version, core, key=key, ghosts=[f"boot/vmlinuz-{release}"])
    virtio = {f"{top}/kernel/virtio.ko.xz": b"a module"}
    vendors.rpm(folder, "kernel-modules-core", *version, virtio, key=key, payload="w1.xzdio")
    vendors.rpm(
        folder, "kernel-modules", *version, {f"{top}/kernel/nfs.ko.xz": b"another"}, key=key, payload="w1.gzdio"
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Path:
    """A repository with two versions of a kernel, packages and index signed."""
    folder = tmp_path_factory.mktemp("repository")
    for version in (OLD, NEW):
        kernel_rpms(folder, version, signer)
    return vendors.repository(folder, key=signer)


@pytest.fixture
def top(made: Path, tmp_path: Path, server: Server) -> Path:
    """The repository, served."""
    top = shutil.copytree(made, tmp_path / "9")
    serve(server, top, "/9")
    return top


def rpms(server: Server, key: Path, signed: str = "packages", **row: object) -> Rpm:
    """The distribution, with the public key of a file."""
    release: dict[str, object] = {
        "name": "9",
        "repositories": ["9"],
        "image": ["kernel-core"],
        "signed": signed,
        "keys": [key.stem],
    }
    release |= {"rest": ["kernel-modules-core", "kernel-modules"], "series": ["5.14"]} | row
    table = {"mirror": server.url, "release": [release]}
    return Rpm("rocky", table, key.parent, {})


@pytest.mark.parametrize("signed", ["packages", "index"])
def test_a_release_is_its_newest_kernel(top: Path, server: Server, signer: Signer, signed: str) -> None:
    """Three packages, with payloads of three compressions, are one kernel; index or packages vouch for it."""
    kernel = fetch("rocky:9", rpms(server, signer.public, signed))
    assert (kernel.release, kernel.version) == (RELEASE, "-".join(NEW))
    assert (kernel.source, kernel.signed, kernel.series) == ("rocky:9", "gpgv", "5.14")
    assert kernel.modules is not None
    found = {path.name: path.read_bytes() for path in kernel.modules.rglob("*.ko.xz")}
    assert found == {"virtio.ko.xz": b"a module", "nfs.ko.xz": b"another"}
    assert kernel.config is not None
    assert kernel.notes == ()
    stored = store.at(kernel)
    assert stored is not None
    assert {row["key"] for row in stored.record["packages"]} == {signer.fingerprint}


@pytest.mark.parametrize("spec", ["rocky:5.14.0-427.13.1.el9_4.x86_64", "rocky9", "rocky:5.14", "rocky:5.14.0"])
def test_what_a_spec_means(top: Path, server: Server, signer: Signer, spec: str) -> None:
    """A kernel's release is that very one, though a newer is there; a release, a series and a version the newest."""
    wanted = "5.14.0-427.13.1.el9_4.x86_64" if "427" in spec else RELEASE
    assert kernels.resolve(spec, sources=[rpms(server, signer.public)])[0].release == wanted


def test_a_superseded_package_is_where_old_ones_go(top: Path, tmp_path: Path, server: Server, signer: Signer) -> None:
    """What the repository no longer has, its vault has, for who asks for exactly that."""
    for path in [path for path in server.files if OLD[1] in path]:
        del server.files[path]
    for package in top.glob(f"*{OLD[1]}*"):
        package.unlink()
    vault = tmp_path / "vault"
    vault.mkdir()
    kernel_rpms(vault, OLD, signer)
    for folder, url in ((top, "/9"), (vault, "/vault")):
        serve(server, vendors.repository(folder, key=signer), url)
    source = rpms(server, signer.public, superseded=["vault"])
    assert fetch("rocky:5.14.0-427.13.1.el9_4.x86_64", source).release == "5.14.0-427.13.1.el9_4.x86_64"
    assert kernels.resolve("rocky:9", sources=[source])[0].release == RELEASE


def test_a_vault_is_no_answer_to_a_server_that_is_away(
    top: Path, tmp_path: Path, server: Server, signer: Signer
) -> None:
    """Which kernel a series means does not depend on who is up; a kernel's own name means that one, wherever it is."""
    vault = tmp_path / "vault"
    vault.mkdir()
    kernel_rpms(vault, OLD, signer)
    serve(server, vendors.repository(vault), "/vault")
    server.status["/9/repodata/repomd.xml"] = 403
    source = rpms(server, signer.public, superseded=["not-yet", "vault"])
    with pytest.raises(DownloadError, match="HTTP 403"):
        kernels.resolve("rocky:5.14", sources=[source])
    kernel = fetch("rocky:5.14.0-427.13.1.el9_4.x86_64", source)
    assert kernel.release == "5.14.0-427.13.1.el9_4.x86_64"
    assert ("/not-yet/repodata/repomd.xml", "") in server.asked


def test_an_index_in_zstd(top: Path, server: Server, signer: Signer) -> None:
    """Fedora's index since 41."""
    serve(server, vendors.zstd(top), "/9")
    assert fetch("rocky:9", rpms(server, signer.public)).release == RELEASE
    assert [path for path, _ in server.asked if path.endswith("primary.xml.zst")]


def test_where_only_the_image_tells(tmp_path: Path, server: Server, signer: Signer) -> None:
    """openSUSE's package 6.4.0-150600.23.25.1 is the kernel 6.4.0-150600.23.25-default."""
    release, folder = "6.4.0-150600.23.25-default", tmp_path / "leap"
    folder.mkdir()
    top = f"usr/lib/modules/{release}"
    files = {f"{top}/vmlinuz": kernel_image(release), f"{top}/config": b"", f"{top}/kernel/a.ko.zst": b"a"}
    vendors.rpm(folder, "kernel-default", "6.4.0", "150600.23.25.1", files, key=signer)
    serve(server, vendors.repository(folder, key=signer, compression="xz"), "/9")
    source = rpms(server, signer.public, "index", image=["kernel-default"], rest=[], uname="", series=["6.4"])
    kernel = fetch("rocky:9", source)
    assert (kernel.release, kernel.series, kernel.signed) == (release, "6.4", "gpgv")


def test_a_mirror_list_and_a_redirect(top: Path, server: Server, signer: Signer) -> None:
    """Amazon's mirror.list says where the repository is."""
    server.files["/core/mirror.list"] = f"{server.url}/9\n".encode()
    source = rpms(server, signer.public, repositories=["core/mirror.list"])
    assert fetch("rocky:9", source).release == RELEASE


def test_an_older_index_is_refused(
    top: Path, made: Path, tmp_path: Path, server: Server, signer: Signer, cache_root: Path
) -> None:
    """A signed index from before the one that was had is a replay: the kernel in the cache serves, with a note."""
    source = rpms(server, signer.public, "index")
    assert fetch("rocky:9", source).release == RELEASE
    shutil.rmtree(top / "repodata")
    at = top / "repodata" / "repomd.xml"
    vendors.repository(top)
    at.write_text(re.sub(r"<timestamp>\d+", "<timestamp>1700000000", at.read_text()))
    vendors.detach(signer, at, ".asc", "--armor")
    serve(server, top, "/9")
    kernel = fetch("rocky:9", source)
    assert kernel.release == RELEASE
    assert re.search(r"is of 2023-11-14 22:13, older than the one of .* that was had before$", kernel.notes[-1])
    store.release_all()
    shutil.rmtree(cache_root / "kernels")
    with pytest.raises(DownloadError, match=r"older than the one .*is out of date: set EVERYKERNEL_ROCKY_MIRROR"):
        fetch("rocky:9", source)


def test_without_network_a_release_is_what_the_cache_has(top: Path, server: Server, signer: Signer) -> None:
    """rocky:9 means the newest of its kernels that is here, and says that a newer one may be there."""
    source = rpms(server, signer.public)
    for spec in ("rocky:5.14.0-427.13.1.el9_4.x86_64", "rocky:9"):
        fetch(spec, source)
    server.stop()
    try:
        kernel = fetch("rocky:9", rpms(server, signer.public))
        assert kernel.release == RELEASE
        assert kernel.notes[-1].startswith("a newer version may be in an index that could not be had: http://127.0.0.1")
        with pytest.raises(DownloadError, match="Connection refused"):
            fetch("rocky:8", rpms(server, signer.public, name="8"))
    finally:
        server.__enter__()


@pytest.mark.parametrize("signed", ["packages", "index"])
def test_another_key_is_refused(top: Path, server: Server, tmp_path: Path, cache_root: Path, signed: str) -> None:
    """A repository or a package that another key signed is refused, a vendor's real key being no exception."""
    keys = Path(__file__).parents[2] / "kernels/keys"
    with pytest.raises(DownloadError, match="which is none of its distribution's") as caught:
        fetch("rocky:9", rpms(server, keys / "rocky-9.asc", signed))
    assert "\n" not in str(caught.value)
    assert not list((cache_root / "kernels").glob("*")) + list((cache_root / "packages").glob("*.rpm"))


def test_a_package_without_a_signature_is_refused(
    tmp_path: Path, server: Server, signer: Signer, cache_root: Path
) -> None:
    """An index that nobody signs makes no package good."""
    folder = tmp_path / "9"
    folder.mkdir()
    kernel_rpms(folder, NEW, None)
    serve(server, vendors.repository(folder), "/9")
    with pytest.raises(DownloadError, match="is not signed"):
        fetch("rocky:9", rpms(server, signer.public))
    assert not list((cache_root / "kernels").glob("*"))


def core(server: Server) -> str:
    return next(path for path in server.files if f"kernel-core-{'-'.join(NEW)}" in path)


def damage(server: Server) -> None:
    server.files[core(server)] = server.files[core(server)][:-9] + b"xxxxxxxxx"


def truncate(server: Server) -> None:
    server.files[core(server)] = server.files[core(server)][:-9]


def lose(server: Server) -> None:
    del server.files[core(server)]


def primary(server: Server) -> None:
    for path in [path for path in server.files if "primary.xml" in path]:
        server.files[path] = b"of another day"


def forge(server: Server) -> None:
    """An index changed behind its signature."""
    path = next(path for path in server.files if path.endswith("repomd.xml"))
    server.files[path] = server.files[path].replace(b"<revision>", b"<revision>1")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (damage, "SHA-256"),
        (truncate, "bytes instead of"),
        (lose, "HTTP 404"),
        (primary, "out of step with its own index"),
        (forge, "the signature is not good: it is not what was signed"),
        (Server.stop, "cannot be had"),
    ],
)
def test_one_line_and_nothing_broken(
    top: Path, server: Server, signer: Signer, cache_root: Path, spoil: Callable[[Server], None], message: str
) -> None:
    """A bad digest, a truncated or lost package, an index out of step or forged, no network: told in one line."""
    spoil(server)
    with pytest.raises(EverykernelError, match=message) as caught:
        fetch("rocky:9", rpms(server, signer.public, "index"))
    assert "\n" not in str(caught.value)
    assert "EVERYKERNEL_DEBIAN_MIRROR" not in str(caught.value)
    assert not list((cache_root / "kernels").glob("*"))
    if spoil is Server.stop:
        server.__enter__()


def test_a_server_that_dies_half_way(top: Path, server: Server, signer: Signer) -> None:
    """What broke off goes on where it broke off."""
    server.break_after[core(server)] = 200
    assert fetch("rocky:9", rpms(server, signer.public)).release == RELEASE
    assert (core(server), "bytes=200-") in server.asked


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (kernel_image("6.12.1"), f"claims to be {RELEASE}, and its image is 6.12.1"),
        (bzimage(RELEASE, b"", wide=False), "holds a kernel for i686, not for x86_64"),
    ],
)
def test_a_kernel_is_what_it_says(
    tmp_path: Path, server: Server, signer: Signer, cache_root: Path, image: bytes, message: str
) -> None:
    """A package that holds another release, or another architecture's kernel, is refused and not kept."""
    folder = tmp_path / "9"
    folder.mkdir()
    kernel_rpms(folder, NEW, signer, image)
    serve(server, vendors.repository(folder, key=signer), "/9")
    with pytest.raises(DownloadError, match=message):
        fetch("rocky:9", rpms(server, signer.public))
    assert not list((cache_root / "kernels").glob("*"))


def test_a_file(made: Path) -> None:
    """A package of one's own is a spec: its image tells what it is."""
    kernel = fetch(str(made / f"kernel-core-{'-'.join(NEW)}.x86_64.rpm"), File())
    assert (kernel.release, kernel.signed) == (RELEASE, "none")


ARCH = "6.6.10.arch1-1"


@pytest.fixture
def arch(tmp_path: Path, server: Server, signer: Signer) -> Arch:
    """Arch's archive, with two versions of one package and a folder of another."""
    folder = tmp_path / "packages/l/linux"
    folder.mkdir(parents=True)
    for version in ("6.6.9.arch1-1", ARCH):
        release = version.replace(".arch", "-arch")
        top = f"usr/lib/modules/{release}"
        files = {f"{top}/vmlinuz": kernel_image(release), f"{top}/kernel/a.ko.zst": b"a module"}
        vendors.pacman(folder, "linux", version, files, key=signer)
    serve(server, tmp_path / "packages", "/packages")
    for name in ("linux-lts", "linux-zen", "linux-hardened"):
        server.files[f"/packages/l/{name}/"] = b"<html></html>"
    return Arch(signer.public, {"EVERYKERNEL_ARCH_MIRROR": server.url})


@pytest.mark.parametrize("spec", ["arch:linux", "arch:6.6"])
def test_arch(arch: Arch, spec: str) -> None:
    """A package's newest version, by pacman's order, with the modules beside the image; Arch has no configuration."""
    kernel = fetch(spec, arch)
    assert (kernel.release, kernel.source, kernel.signed) == ("6.6.10-arch1-1", "arch:linux", "gpgv")
    assert kernel.modules is not None
    assert (kernel.modules / "kernel/a.ko.zst").read_bytes() == b"a module"
    assert kernel.notes == ("no build configuration: Arch's packages hold none (the kernel has it in /proc/config.gz)",)


def test_what_repo_add_lists(arch: Arch, tmp_path: Path, signer: Signer) -> None:
    """The record has the name and the SHA-256 that pacman's own database has of the package."""
    folder = tmp_path / "packages/l/linux"
    vendors.repo_add(folder, signer)
    with tarfile.open(folder / "core.db.tar.gz") as database:
        desc = database.extractfile(f"linux-{ARCH}/desc")
        assert desc is not None
        fields = dict(re.findall(r"%(\w+)%\n(.*)\n", desc.read().decode()))
    stored = store.at(fetch("arch:linux", arch))
    assert stored is not None
    (package,) = stored.record["packages"]
    assert (package["filename"], package["sha256"]) == (fields["FILENAME"], fields["SHA256SUM"])
    assert package["key"] == signer.fingerprint


def test_archs_old_version(arch: Arch) -> None:
    """Every version that there was is to be had."""
    assert fetch("arch:6.6.9.arch1-1", arch).release == "6.6.9-arch1-1"


@pytest.mark.parametrize("part", [".pkg.tar.zst", ".pkg.tar.zst.sig"])
def test_what_archs_signature_does_not_cover(arch: Arch, server: Server, cache_root: Path, part: str) -> None:
    """A package or a signature that was changed is refused; one whose signature is gone too; nothing stays."""
    path = next(path for path in server.files if path.endswith(f"{ARCH}-x86_64{part}"))
    server.files[path] = server.files[path][:-9] + b"xxxxxxxxx"
    with pytest.raises(DownloadError, match="the signature is n"):
        fetch("arch:linux", arch)
    del server.files[next(path for path in server.files if path.endswith(f"{ARCH}-x86_64.pkg.tar.zst.sig"))]
    with pytest.raises(DownloadError, match="HTTP 404"):
        fetch("arch:linux", arch)
    assert not list((cache_root / "kernels").glob("*")) + list((cache_root / "packages").glob("*"))


def test_archs_other_key(arch: Arch, server: Server) -> None:
    """A package that somebody else signed is refused."""
    keys = Path(__file__).parents[2] / "kernels/keys/fedora-44.asc"
    with pytest.raises(DownloadError, match="which is none of its distribution's"):
        fetch("arch:linux", Arch(keys, {"EVERYKERNEL_ARCH_MIRROR": server.url}))


OCI = "6.6.30"


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of two layers, of which the upper has the kernel anew."""
    folder = tmp_path_factory.mktemp("image") / "layout"
    layers = [
        {"boot/vmlinuz": kernel_image("6.6.1"), "boot/config-6.6.30": b"CONFIG_BPF=y\n"},
        {"boot/vmlinuz": kernel_image(OCI), f"usr/lib/modules/{OCI}/kernel/bpf_testmod.ko": b"a module"},
    ]
    return vendors.image(folder, layers)


def test_an_image_in_a_folder(layout: Path) -> None:
    """An OCI layout is a registry's image without the registry."""
    kernel = fetch(f"oci:{layout}:one", Oci({}))
    assert (kernel.release, kernel.signed) == (OCI, "none")
    assert kernel.modules is not None
    assert (kernel.modules / "kernel/bpf_testmod.ko").read_bytes() == b"a module"
    assert kernel.config is not None
    with pytest.raises(DownloadError, match="has no image of the name 'two'"):
        fetch(f"oci:{layout}:two", Oci({}))


def test_what_an_upper_layer_deletes(tmp_path: Path) -> None:
    """A file or a folder that an upper layer deletes is gone, and what it has itself stays, whatever it deletes."""
    top = f"lib/modules/{OCI}/kernel"
    lower = {f"{top}/{name}": b"old" for name in ("a.ko", "b/c.ko", "d/e.ko", "d/f.ko", "kept.ko")}
    upper = {f"{top}/{name}": b"" for name in (".wh.a.ko", ".wh.b", "d/.wh..wh..opq")} | {f"{top}/d/e.ko": b"new"}
    layout = vendors.image(tmp_path / "layout", [{"boot/vmlinuz": kernel_image(OCI), **lower}, upper])
    modules = fetch(f"oci:{layout}:one", Oci({})).modules
    assert modules is not None
    found = {path.relative_to(modules).as_posix(): path.read_bytes() for path in modules.rglob("*.ko")}
    assert found == {"kernel/kept.ko": b"old", "kernel/d/e.ko": b"new"}


def test_lvhs_layout(tmp_path: Path) -> None:
    """LVH's images have a tree for each kernel, with an ELF file and BTF beside the image (make tar-pkg)."""
    top = "data/kernels/6.6"
    files = {
        f"{top}/boot/vmlinuz-{OCI}": kernel_image(OCI),
        f"{top}/boot/vmlinux-{OCI}": b"\x7fELF",
        f"{top}/boot/btf-{OCI}": b"x",
        f"{top}/boot/config-{OCI}": b"CONFIG_BPF=y\n",
        f"{top}/lib/modules/{OCI}/kernel/a.ko": b"a module",
        "bin/busybox": b"x",
    }
    kernel = fetch(f"oci:{vendors.image(tmp_path / 'layout', [files])}:one", Oci({}))
    assert (kernel.release, kernel.notes) == (OCI, ())
    assert kernel.modules is not None
    assert (kernel.modules / "kernel/a.ko").read_bytes() == b"a module"
    assert kernel.config is not None


def test_falcos_layout(tmp_path: Path, cache_root: Path) -> None:
    """Falco's images have an ELF file for another kind of machine, and no modules: told, not kept."""
    files = {"boot/vmlinux": b"\x7fELF", "boot/initrd": b"x", "lib/modules/.placeholder": b""}
    with pytest.raises(DownloadError, match=r"holds no kernel image, only an ELF file, which does not boot as it is$"):
        fetch(f"oci:{vendors.image(tmp_path / 'layout', [files])}:one", Oci({}))
    assert not list((cache_root / "kernels").glob("*")) + list((cache_root / "packages").glob("*"))


def test_hard_links_in_a_layer(tmp_path: Path) -> None:
    """Files of one content have it under each name, also where an upper layer has one of them anew."""
    top = f"lib/modules/{OCI}/kernel"
    lower = {"boot/vmlinuz": kernel_image(OCI), f"{top}/a.ko": b"a module"}
    links = {f"{top}/b.ko": f"{top}/a.ko"}
    layout = vendors.image(tmp_path / "layout", [lower, {f"{top}/a.ko": b"another"}], links=links)
    modules = fetch(f"oci:{layout}:one", Oci({})).modules
    assert modules is not None
    assert {path.name: path.read_bytes() for path in modules.rglob("*.ko")} == {"a.ko": b"another", "b.ko": b"a module"}


@pytest.fixture
def registry(tmp_path: Path, layout: Path) -> Iterator[str]:
    """A registry of Debian's package docker-registry, to which skopeo has copied the image; its address."""
    with Server() as free:
        port = free.url.rpartition(":")[2]
    config = tmp_path / "config.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    process = subprocess.Popen(
        ["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = f"127.0.0.1:{port}"
        for _ in range(200):
            try:
                httpx.get(f"http://{address}/v2/")
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        policy = tmp_path / "policy.json"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        target = f"docker://{address}/team/kernels:6.6"
        run("skopeo", "--policy", policy, "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}:one", target)
        yield address
    finally:
        process.terminate()
        process.wait()


def test_an_image_of_a_registry(registry: str, tmp_path: Path, cache_root: Path) -> None:
    """By tag and by digest; what is not there, is no manifest, or was damaged is told in one line."""
    source = Oci({INSECURE: registry})
    kernel = fetch(f"oci:{registry}/team/kernels:6.6", source)
    assert (kernel.release, kernel.signed, len(kernel.sha256)) == (OCI, "none", 64)
    (manifest,) = {path.parent.name for path in tmp_path.glob("registry/**/revisions/sha256/*/link")}
    assert fetch(f"oci:{registry}/team/kernels@sha256:{manifest}", source).release == OCI
    with pytest.raises(DownloadError, match="HTTP 404"):
        fetch(f"oci:{registry}/team/kernels:6.7", source)
    with pytest.raises(UsageError, match="is no image's name"):
        fetch("oci:kernels", source)
    store.release_all()
    shutil.rmtree(cache_root / "kernels")
    layer = max(tmp_path.glob("registry/**/blobs/sha256/*/*/data"), key=lambda path: path.stat().st_size)
    layer.write_bytes(bytes(layer.stat().st_size))
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch(f"oci:{registry}/team/kernels:6.6", source)
    assert not [path for path in (cache_root / "kernels").glob("*") if not path.name.startswith(".")]


def test_the_table_makes_every_source() -> None:
    """Each row of the catalogue is a source whose keys are there; a spec that names it is read."""
    from everykernel.kernels import catalogue
    from everykernel.kernels.sources import table

    keys = Path(__file__).parents[2] / "kernels/keys"
    for name, rows in catalogue.servers("rpm").items():
        assert table.make(name).name == name
        for row in rows["release"]:
            assert all((keys / f"{key}.asc").is_file() for key in row["keys"]), row
            vaults = row.get("superseded", ())
            assert all(one.startswith("https://") and one.endswith("/{arch}/os") for one in vaults)
            assert len(set(vaults)) == len(vaults)
            (spec,) = kernels.parse(f"{name}:{row['name']}")
            assert (spec.source, spec.value) == (name, row["name"])


def test_a_release_that_there_is_not(top: Path, server: Server, signer: Signer) -> None:
    """One line says so."""
    with pytest.raises(UnknownKernel) as caught:
        kernels.resolve("rocky:7", sources=[rpms(server, signer.public)])
    assert "\n" not in str(caught.value)
