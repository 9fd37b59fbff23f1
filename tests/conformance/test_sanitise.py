"""BTF for older kernels: what libbpf hands to a kernel that lacks some kinds is what we do."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.btf.test_types import everything
from tests.btfwriter import Writer
from tests.conformance import libbpf
from tests.elfwriter import bpf_object

from everykernel.btf import Btf, kinds, sanitise
from everykernel.kernels.debian import Archive

pytestmark = pytest.mark.conformance

# What the oracle calls the kinds that each feature stands for.
UNKNOWN = {
    "func": (kinds.FUNC, kinds.FUNC_PROTO),
    "datasec": (kinds.VAR, kinds.DATASEC),
    "func_global": (100,),
    "float": (kinds.FLOAT,),
    "decl_tag": (kinds.DECL_TAG,),
    "type_tag": (kinds.TYPE_TAG,),
    "enum64": (kinds.ENUM64,),
    "qmark_datasec": (101,),
}
EXIT = bytes.fromhex("b7000000000000009500000000000000")


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> libbpf.Oracle:
    return libbpf.Oracle(Archive(), tmp_path_factory.mktemp("oracle"))


def sample() -> tuple[bytes, Btf]:
    """An object whose BTF has every kind, two sections of variables among them."""
    writer = everything(linkage=0)  # a global variable would need an ELF symbol
    one = writer.var("optional", 1, 0)
    writer.datasec("?.data.x", 4, [(one, 0, 4)])
    btf = writer.btf("o")
    code, data = {"raw_tp/x": EXIT}, {"license": b"GPL\0", ".BTF": writer.image()}
    return bpf_object(code, [("p", "raw_tp/x", 0, len(EXIT))], data), btf


@pytest.mark.parametrize(
    "missing",
    [
        *[(feature,) for feature in UNKNOWN if feature != "datasec"],
        ("datasec", "decl_tag", "qmark_datasec"),  # the probes of the others hold a variable, as libbpf's do
        ("float", "decl_tag", "type_tag", "enum64", "qmark_datasec"),  # 5.10
        tuple(UNKNOWN),  # 4.18
    ],
    ids=" ".join,
)
def test_as_libbpf_does_it(
    oracle: libbpf.Oracle, missing: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind that a kernel refuses becomes the same type as libbpf makes of it, alone and together."""
    data, btf = sample()
    obj, kernel, taken = tmp_path / "o.o", tmp_path / "kernel", tmp_path / "taken"
    obj.write_bytes(data)
    target = Writer()
    target.integer("int", 4)
    kernel.write_bytes(target.image())
    monkeypatch.setenv("ORACLE_UNKNOWN", ",".join(str(n) for feature in missing for n in UNKNOWN[feature]))
    monkeypatch.setenv("ORACLE_BTF", str(taken))
    assert not isinstance(oracle.relocate(obj, libbpf.Files(kernel, kernel)), str)
    theirs = [found for _, found in Btf.parse(taken.read_bytes(), name="libbpf")]
    ours = [found for _, found in Btf.parse(sanitise.sanitise(btf, sanitise.ALL - set(missing)), name="ours")]
    assert ours == theirs
