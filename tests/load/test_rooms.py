"""The rooms of load/: arrows between them go downward only, those for types and those inside functions counted."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from everykernel import folders

ROOT = folders.package() / "load"
# From the ground up.
ROOMS = (
    "system", "kernel", "rules", "maps", "attach", "loaded", "programs", "loader", "collection", "advice", "__init__",
)  # fmt: skip
LONGEST = 300  # lines


def _modules() -> dict[str, Path]:
    """Return the files of load/ by their dotted names below it."""
    return {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in ROOT.rglob("*.py")}


def _imports(text: str, modules: dict[str, Path]) -> set[str]:
    """Return what a source imports of load/, wherever the statement stands."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            top, _, rest = name.partition("everykernel.load")
            if top or (rest and not rest.startswith(".")):
                continue
            parts = rest[1:].split(".") if rest else []
            # a module, or a name of one, or a name of a package
            choices = (".".join(parts), ".".join(parts[:-1]), ".".join([*parts, "__init__"]))
            last = ".".join([*parts[:-1], "__init__"])
            found.add(next((choice for choice in choices if choice in modules), last))
    return found


def _graph() -> dict[str, set[str]]:
    modules = _modules()
    return {name: _imports(path.read_text(), modules) for name, path in modules.items()}


def _upward(graph: dict[str, set[str]]) -> list[str]:
    """Return the imports that go to a higher room."""
    height = {name: ROOMS.index(name.partition(".")[0]) for name in graph}
    return sorted(f"{name} imports {other}" for name in graph for other in graph[name] if height[other] > height[name])


def test_no_import_goes_upward() -> None:
    """A file imports of its own room and of those below; each file is in a room that has a place in the order."""
    assert len(_modules()) > 43
    assert _upward(_graph()) == []


def test_no_files_import_one_another() -> None:
    """No circle of imports, within a room neither."""
    TopologicalSorter(_graph()).prepare()  # raises CycleError


def test_every_way_of_importing_is_seen() -> None:
    """What the tests above go by sees imports for types, in functions, of modules and of names."""
    text = """
if TYPE_CHECKING:
    from everykernel.load import loader, load
    from everykernel.load.maps.map import Map
def late():
    import everykernel.load.attach.net
    from everykernel.load.kernel import probes as p
    from everykernel import load, wire
    import everykernel.loading
"""
    found = _imports(text, _modules())
    assert found == {"loader", "__init__", "maps.map", "attach.net", "kernel.probes"}
    graph = {"maps.map": found, **{name: set() for name in found - {"maps.map"}}}
    assert _upward(graph) == [f"maps.map imports {name}" for name in ("__init__", "attach.net", "loader")]


@pytest.mark.parametrize("name", sorted(_modules()))
def test_a_file_is_one_idea(name: str) -> None:
    """No file is so long that it would be more than one."""
    assert len(_modules()[name].read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("room", [p.name for p in sorted(ROOT.iterdir()) if (p / "__init__.py").exists()])
def test_a_room_says_its_law(room: str) -> None:
    """Each folder's docstring tells what it does and what it knows, and the folder holds nothing else by itself."""
    tree = ast.parse((ROOT / room / "__init__.py").read_text())
    assert "Knows " in (ast.get_docstring(tree) or "")
    assert len(tree.body) == 1
