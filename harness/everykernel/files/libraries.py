"""Where the dynamic loader will find what a program needs: ld.so(8)'s rules, without running anything.

For each name that an object needs: DT_RPATH of it and of those that brought it in (where it has no DT_RUNPATH),
LD_LIBRARY_PATH, its DT_RUNPATH, the loader's cache, the default folders. A file counts only if it is for the same
machine.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from everykernel.errors import UsageError
from everykernel.files import elf, ldcache
from everykernel.files.elf import Needs

_LIMIT = 500  # libraries of one program
_LINKS = 40  # symbolic links on the way to a file: as many as Linux follows (MAXSYMLINKS)
_CPU_FEATURES = "glibc-hwcaps"


@dataclass(frozen=True)
class Found:
    """A file that a program needs.

    Attributes:
        source: the host's file.
        path: where the guest's loader will look for it.
    """

    source: Path
    path: str


@dataclass(frozen=True)
class _Object:
    """An ELF file on its way through the search: where it is here, where it will be, who brought it in."""

    source: Path
    path: str
    needs: Needs
    parent: _Object | None = None

    @property
    def rpaths(self) -> Iterator[tuple[str, _Object]]:
        """The DT_RPATH folders that count for it, each with the object whose $ORIGIN it means."""
        if self.needs.runpath:
            return
        one: _Object | None = self
        while one is not None:
            if not one.needs.runpath:
                yield from ((folder, one) for folder in one.needs.rpath)
            one = one.parent


@dataclass
class Libraries:
    """Finds what programs need.

    Args:
        root: the folder that absolute paths are below, those of links too; the host's own by default.
        folders: LD_LIBRARY_PATH of the program's environment.
    """

    root: Path = Path("/")
    folders: Sequence[str] = ()
    _cache: dict[str, list[str]] | None = field(default=None, repr=False)

    @classmethod
    def searched(cls, environment: Mapping[str, str], root: Path | None = None) -> Libraries:
        """Return what finds the libraries of a root, the host's where it is None, for a program with an environment."""
        folders = [part for part in environment.get("LD_LIBRARY_PATH", "").split(":") if part]
        return cls(root or Path("/"), folders)

    def of(self, source: Path, path: str) -> list[Found]:
        """Return all that a program needs to start, its interpreter first; nothing for one that is static.

        Args:
            source: the host's file.
            path: where it will be in the guest.

        Raises UsageError for a library that is nowhere, or a damaged file.
        """
        needs = elf.needs(source)
        if needs.starts_alone:
            return []
        found: dict[str, Found] = {}
        if needs.interpreter:
            interpreter = self._below(needs.interpreter)
            if not interpreter.is_file():
                raise UsageError(
                    f"needs the interpreter {needs.interpreter}, which is not {self._here}", where=str(source),
                    remedy="build it static, or for this host; or name a root that has it (--sysroot)",
                )  # fmt: skip
            found[needs.interpreter] = Found(interpreter, needs.interpreter)
        if "musl" not in needs.interpreter:
            found["/etc/ld.so.cache"] = Found(self._below("/etc/ld.so.cache"), "/etc/ld.so.cache")
        waiting = [_Object(source, path, needs)]
        seen: set[str] = set()
        while waiting:
            one = waiting.pop(0)
            for name in one.needs.libraries:
                if name in seen or _is_interpreter(name, needs.interpreter):
                    continue
                seen.add(name)
                chosen, others = self._find(one, name)
                for file in (chosen, *others):
                    found.setdefault(file.path, file)
                waiting.append(_Object(chosen.source, chosen.path, elf.needs(chosen.source), one))
                if len(seen) > _LIMIT:
                    raise UsageError(f"needs more than {_LIMIT} libraries", where=str(source))
        return [file for file in found.values() if file.source.is_file()]

    def _find(self, one: _Object, name: str) -> tuple[Found, list[Found]]:
        """Return the file that stands for a name, and more that the loader may take on another processor."""
        if "/" in name:
            here = _expand(name, one)
            if self._fits(here.source, one.needs):
                return here, []
        looked: list[str] = []
        for folder, origin in (*one.rpaths, *((f, one) for f in self.folders), *((f, one) for f in one.needs.runpath)):
            here = self._in(folder, origin, name)
            looked.append(folder)
            if self._fits(here.source, one.needs):
                return here, []
        cached = [Found(self._below(path), path) for path in self._cached(name)]
        fitting = [file for file in cached if self._fits(file.source, one.needs)]
        plain = [file for file in fitting if _CPU_FEATURES not in file.path]
        if plain:
            return plain[0], [file for file in fitting if file != plain[0]]
        for folder in _defaults(one.needs):
            here = Found(self._below(f"{folder}/{name}"), f"{folder}/{name}")
            if self._fits(here.source, one.needs):
                return here, []
        where = f"looked in {', '.join([*looked, 'the cache of ld.so', *_defaults(one.needs)])}"
        by = "" if one.parent is None else f" (of {one.path})"
        top = one
        while top.parent is not None:
            top = top.parent
        raise UsageError(
            f"needs the library {name}{by}, which is not {self._here}", where=str(top.source), remedy=where
        )

    @property
    def _here(self) -> str:
        return "here" if self.root == Path("/") else f"in {self.root}"

    def _in(self, folder: str, origin: _Object, name: str) -> Found:
        if "$" in folder:
            return _expand(f"{folder}/{name}", origin)
        return Found(self._below(f"{folder}/{name}"), f"{folder}/{name}")

    def _below(self, path: str) -> Path:
        return _within(self.root, path)

    def _cached(self, name: str) -> list[str]:
        if self._cache is None:
            self._cache = ldcache.read(self._below("/etc/ld.so.cache"))
        return self._cache.get(name, [])

    def _fits(self, path: Path, needs: Needs) -> bool:
        """Return whether a file is there, and for the machine of who needs it."""
        if not path.is_file() or not elf.is_elf(path):
            return False
        its = elf.needs(path)
        return (its.machine, its.bits) == (needs.machine, needs.bits)


def _within(root: Path, path: str) -> Path:
    """Return the file that a path means where ``root`` is the root: no link, and no ``..``, leads out of it."""
    here, links = root, 0
    waiting = path.split("/")[::-1]
    while waiting:
        part = waiting.pop()
        if part in ("", "."):
            continue
        if part == "..":
            here = here.parent if here != root else root
        elif (here / part).is_symlink() and links < _LINKS:
            links += 1
            target = str((here / part).readlink())
            here = root if target.startswith("/") else here
            waiting += target.split("/")[::-1]
        else:
            here /= part
    return here


def _expand(text: str, origin: _Object) -> Found:
    """Return a path with ``$ORIGIN`` and the like in it, here and in the guest."""
    wide = "lib64" if origin.needs.bits == 64 else "lib"
    for word, value in (("LIB", wide), ("PLATFORM", origin.needs.machine)):
        text = text.replace(f"${{{word}}}", value).replace(f"${word}", value)

    def at(folder: str) -> str:
        return text.replace("${ORIGIN}", folder).replace("$ORIGIN", folder)

    return Found(Path(at(str(origin.source.resolve().parent))), _normal(at(str(PurePosixPath(origin.path).parent))))


def _normal(path: str) -> str:
    """Return a path without ``.`` and ``..``, so that no folder on the way needs to be there."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _is_interpreter(name: str, interpreter: str) -> bool:
    """Return whether a library is the dynamic loader itself: always so of musl's C library."""
    own = PurePosixPath(interpreter).name
    return name == own or (own.startswith("ld-musl") and (name == "libc.so" or name.startswith("libc.musl")))


def _defaults(needs: Needs) -> list[str]:
    """Return the folders that loaders look in last: Debian's and Fedora's glibc, and musl."""
    triplet = {"x86_64": "x86_64-linux-gnu", "i386": "i386-linux-gnu"}.get(needs.machine, platform.machine())
    wide = ["/lib64", "/usr/lib64"] if needs.bits == 64 else []
    return [f"/lib/{triplet}", f"/usr/lib/{triplet}", *wide, "/lib", "/usr/local/lib", "/usr/lib"]
