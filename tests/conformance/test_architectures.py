"""Other architectures: what libbpf says here as a program of another machine, it says in a guest of that machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console
from tests.conformance import __main__ as conformance
from tests.conformance import corpus, emulated, foreign, libbpf, loaders, loading, verdicts
from tests.conformance.foreign import Foreign

from everykernel import kernels
from everykernel.architectures import ARCHITECTURES, Architecture
from everykernel.kernels.debian import Archive
from everykernel.loaders.names import ARCHES
from everykernel.machine import Guest, Machines
from everykernel.machine.spec import MachineSpec

pytestmark = pytest.mark.conformance

OTHERS = ("arm64", "s390x")
QUIET = Console(quiet=True)
_BTF = "/sys/kernel/btf/vmlinux"


@dataclass(frozen=True)
class There:
    """A guest of another architecture, and libbpf as a program for it."""

    guest: Guest
    oracle: libbpf.Oracle
    folder: Path

    @property
    def arch(self) -> Architecture:
        """The architecture."""
        return self.guest.kernel.arch

    def relocate(self, obj: Path) -> list[tuple[str, int, bytes]]:
        """Return what libbpf makes of an object's programs inside, by the BTF that the kernel itself shows."""
        self.guest.push("/tmp/o.bpf.o", obj.read_bytes())
        self.guest.push("/tmp/none", b"")
        ran = self.guest.run(["/tmp/oracle", "/tmp/o.bpf.o", _BTF, "/tmp/none", "/tmp/none"], timeout=300)
        assert ran.code == 0, ran.stderr
        rows = [line.split("\t") for line in ran.stdout.decode().splitlines() if line.startswith("program\t")]
        return [(row[1], int(row[3]), b"" if row[4] == "-" else bytes.fromhex(row[4])) for row in rows]

    def here(self, obj: Path) -> list[tuple[str, int, bytes]]:
        """Return what it makes of them on this host."""
        btf = self.folder / "vmlinux.btf"
        if not btf.exists():
            btf.write_bytes(kernels.btf(self.guest.kernel) or b"")
        said = self.oracle.relocate(obj, libbpf.Files(btf, Path(os.devnull)))
        assert not isinstance(said, str), said
        return [(one.program, one.errno, one.code) for one in said]


@pytest.fixture(scope="module", params=OTHERS)
def there(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    """A guest of 6.12 for the architecture, with the program that asks libbpf in it."""
    arch, folder = ARCHITECTURES[request.param], tmp_path_factory.mktemp(request.param)
    archive = Archive()
    oracle = libbpf.Oracle(archive, folder, machine=emulated.machine(archive, arch, folder))
    (resolved,) = kernels.resolve(f"6.12/{arch.name}")
    with Machines() as machines, machines.start(resolved.fetch(), MachineSpec(memory=512)) as guest:
        guest.push(
            "/tmp/oracle", Path(oracle.command(Path(), libbpf.Files(Path(), Path()))[-5]).read_bytes(), mode=0o755
        )
        yield There(guest, oracle, folder)


def test_libbpf_relocates_in_the_guest_as_here(there: There) -> None:
    """All kinds of records, patched, poisoned and refused: the same instructions and errnos, program by program.

    The types of the kernel's image are those that it shows; and ours are what libbpf makes of them there.
    """
    compared = 0
    for source in corpus.sources(there.folder, corpus.SOURCES, arch=there.arch):
        path = there.folder / "o.o"
        path.write_bytes(source.data)
        inside = there.relocate(path)
        assert inside == there.here(path), source.name
        compared += len(inside)
    assert compared > 15


@pytest.mark.parametrize("arch", OTHERS)
def test_verdicts_on_another_architecture(arch: str, tmp_path: Path) -> None:
    """Ten objects, loaded and refused: by libbpf as by us, and by each real loader as by its rules."""
    objects = _ten(tmp_path, ARCHITECTURES[arch])
    spec = f"6.12/{arch}"
    tallies = loading.run(objects, spec, tmp_path, QUIET)
    assert loading.report(tallies, objects, (), Console(soft_wrap=True))
    for tally in tallies:
        assert tally.pairs[verdicts.BOTH_LOADED] > 5
        assert tally.objects == len(objects)
    compared = loaders.run(objects, spec, list(ARCHES), QUIET)
    assert loading.report(compared, objects, (), Console(soft_wrap=True), loaders.TABLE)
    assert [tally.reference for tally in compared] == [name for name, there in ARCHES.items() if arch in there]


def _ten(folder: Path, arch: Architecture) -> list[Foreign]:
    """Return objects that load wherever maps and BTF do, and objects that a kernel or a library refuses."""
    names = ("ambiguous", "legacy", "map_refused", "no_target", "nothing_asked", "second_refused", "told_apart",
             "two_types", "unknown_section")  # fmt: skip
    places = [corpus.WHOLES / f"{name}.bpf.c" for name in names]
    return [corpus.compiled(source, folder, arch) for source in (*places, corpus.SOURCES / "types.bpf.c")]


def test_kernels_are_taken_by_architecture() -> None:
    """Objects are for one architecture: each is compared on kernels of its own."""
    found = conformance.by_architecture("6.1,6.12/arm64,6.12,6.12/s390x")
    assert found == {"x86_64": "6.1,6.12", "arm64": "6.12/arm64", "s390x": "6.12/s390x"}
    assert set(conformance.by_architecture(conformance.OTHERS)) == set(OTHERS)


def test_own_objects_are_of_the_architecture(tmp_path: Path) -> None:
    """Ours are there for each, in its byte order; what is made by hand is little-endian."""
    names = {}
    for name in ("x86_64", *OTHERS):
        arch = ARCHITECTURES[name]
        objects = corpus.own(tmp_path, arch)
        assert all(foreign.is_of(arch, one.data) for one in objects)
        names[name] = {one.name for one in objects}
    assert names["x86_64"] == names["arm64"] == names["s390x"] | {"made/unsuited"}


def test_enough_is_less_where_debian_has_less() -> None:
    """Of others' objects, on a kernel."""
    assert (foreign.enough("6.12"), foreign.enough("6.12/arm64")) == (foreign.ENOUGH, foreign.ENOUGH)
    assert 0 < foreign.enough("6.12/s390x") < foreign.ENOUGH
