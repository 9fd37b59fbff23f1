"""A lock keeps what a project's specs mean, to the byte, while the archive goes on; by command and by plugin."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from everykernel.cli import main
from everykernel.kernels import lock, store

from .archive import Server, kernel_image
from .loopback import Archive, pretend, settings
from .published import Signer

SECURITY, STABLE = "bookworm-security", "bookworm"
OLD, NEW = ("6.1.0-56-cloud-amd64", "6.1.192-1"), ("6.1.0-57-cloud-amd64", "6.1.193-1")


class Project:
    """A project with a lock of 6.1 as it was, and an archive that has gone on since."""

    def __init__(self, folder: Path, archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.archive, self.server, self._capsys = folder, archive, archive.server, capsys
        self.before = self._add(SECURITY, *OLD)
        archive.publish()
        assert self.run("kernels", "lock", "--kernels", "6.1")[:2] == (0, "everykernel.lock: 1 kernels\n")
        self.forget()

    def _add(self, suite: str, release: str, version: str) -> Path:
        members = {f"boot/vmlinuz-{release}": kernel_image(release), f"lib/modules/{release}/kernel/a.ko": b"a"}
        return self.archive.add(suite, release, version, members)

    def goes_on(self, *, pooled: str = "", moved: str = "") -> None:
        """Have the archive publish a newer kernel; the old one is in a pool, in a suite, or gone."""
        kept = self.before.rename(self.folder / self.before.name)
        self._add(SECURITY, *NEW)
        if moved:
            shutil.copy(kept, self.archive.pool(moved))
        self.archive.publish(pooled={pooled: kept} if pooled else None)

    def run(self, *words: str) -> tuple[int, str, str]:
        code = main(list(words))
        out, err = self._capsys.readouterr()
        return code, out, err

    def fetch(self) -> tuple[int, str, str]:
        return self.run("kernels", "fetch", "6.1", "--update")

    def lock(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.folder / lock.FILENAME).read_text())["kernels"][0]
        return found

    def forget(self) -> None:
        """Empty the cache of kernels and packages."""
        for one in store.stored():
            assert store.remove(one)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer.make(tmp_path_factory.mktemp("gpg") / "ours", "ours")


@pytest.fixture
def project(
    tmp_path: Path, signer: Signer, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name, value in settings(server.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(lock.SETTING, "")  # --locked sets it: what it sets ends with the test
    archive = Archive(tmp_path, server, signer)
    pretend(server.url, archive.keyrings, monkeypatch.setattr)
    return Project(folder, archive, capsys)


def is_old(told: tuple[int, str, str]) -> bool:
    code, out, _ = told
    assert code == 0, told
    return out.startswith(f"6.1: {OLD[0]} (debian:") and "signed: gpgv" in out


def test_what_a_lock_says(project: Project) -> None:
    """What it was asked, what that is, where it was, its digests, and who signed."""
    row = project.lock()
    assert [row[name] for name in ("asked", "spec", "source", "release")] == ["6.1", "6.1", "debian", OLD[0]]
    (package,) = row["packages"] if isinstance(row["packages"], list) else []
    assert package["key"] == project.archive.signer.fingerprint
    assert package["filename"].endswith(f"/{project.before.name}")
    assert len(package["sha256"]) == len(str(row["image"])) == 64


def test_two_runs_a_package_apart(project: Project) -> None:
    """They take the same kernel, from the pool, and a newer one is a note; without the lock the newer one is taken."""
    project.goes_on(pooled=SECURITY)
    told = project.fetch()
    assert is_old(told)
    assert f"6.1: {NEW[1]} is there, everykernel.lock has {OLD[1]}" in told[2]
    (project.folder / lock.FILENAME).unlink()
    assert project.fetch()[1].startswith(f"6.1: {NEW[0]} ")


def test_what_went_to_another_suite(project: Project) -> None:
    """A security update becomes part of a point release: the same bytes, in another archive."""
    project.goes_on(moved=STABLE)
    assert is_old(project.fetch())
    assert store.stored()[0].record["source"] == "debian:bookworm"


def test_what_only_the_snapshot_service_has(project: Project) -> None:
    """It keeps security's archive apart from the other, by the time of the lock."""
    project.goes_on()
    made = json.loads((project.folder / lock.FILENAME).read_text())["made"]
    kept = project.folder / project.before.name
    path = f"/snapshot/debian-security/{made}/pool/updates/main/l/linux/{kept.name}"
    project.server.files[path] = kept.read_bytes()
    assert is_old(project.fetch())
    assert (path, "") in project.server.asked


def test_what_only_the_cache_has(project: Project) -> None:
    """A kernel that is here needs no archive at all."""
    assert is_old(project.fetch())
    project.goes_on()
    assert is_old(project.fetch())
    project.server.stop()
    try:
        assert is_old(project.run("kernels", "fetch", "6.1"))
    finally:
        project.server.__enter__()


def test_what_is_nowhere(project: Project) -> None:
    """One line says so, with what took its place; where it was looked for is told before."""
    project.goes_on()
    code, out, err = project.fetch()
    assert (code, out) == (4, "")
    *told, last, _ = err.splitlines()
    text = f"6.1: {OLD[1]} has left debian's archive, and {NEW[1]} has taken its place"
    assert last.endswith(f"{text} [everykernel kernels lock writes it anew]")
    assert any("6.1: nor is it at " in line and "/snapshot/debian-security/" in line for line in told)


@pytest.mark.parametrize("name", ["package", "image"])
def test_a_changed_digest_stops(project: Project, name: str) -> None:
    """A lock that says something else than what there is stops in one line."""
    path = project.folder / lock.FILENAME
    row = project.lock()
    (package,) = row["packages"] if isinstance(row["packages"], list) else []
    digest = package["sha256"] if name == "package" else str(row["image"])
    path.write_text(path.read_text().replace(digest, "0" * 64))
    code, out, err = project.fetch()
    assert (code, out) == (4, "")
    said = {"package": "is not what everykernel.lock says", "image": "are not those that everykernel.lock has"}
    assert said[name] in err.splitlines()[-2]
    assert not [one for one in store.stored() if name == "package"]


def test_locked_refuses(project: Project) -> None:
    """With --locked a spec that the lock does not have stops before anything is asked for, in one line."""
    (project.folder / "x.bpf.o").write_bytes(b"")
    project.server.paths()
    code, _, err = project.run("run", "--locked", "--kernels", "6.1,6.12", "x.bpf.o")
    assert code == 2
    assert err.splitlines()[-1].endswith("6.12: is not in everykernel.lock [everykernel kernels lock adds it]")
    assert project.server.paths() == []


def test_locked_takes_what_the_lock_has(project: Project) -> None:
    """Nothing newer is looked for then, and no index is needed."""
    project.goes_on(pooled=SECURITY)
    for path in [path for path in project.server.files if path.endswith(("InRelease", "Packages.xz"))]:
        project.server.files[path] = b"out of order"
    os.environ[lock.SETTING] = "1"
    told = project.run("kernels", "fetch", "6.1", "--update")
    assert is_old(told)
    assert "is there" not in told[2]


def test_the_plugin_refuses(project: Project, pytester: pytest.Pytester) -> None:
    """pytest --kernel-locked is a usage error of one line for what the lock does not have."""
    shutil.copy(project.folder / lock.FILENAME, pytester.path)
    pytester.makepyfile("def test_it(kernel):\n    assert False")
    result = pytester.runpytest_subprocess("--kernel-locked", "--kernels", "6.1,6.12")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: everykernel: 6.12: is not in everykernel.lock [[]everykernel kernels lock adds it[]]"]
    )
