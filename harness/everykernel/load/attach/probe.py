"""Attaching to code in programs and libraries, to many functions at once, and to events that the kernel counts.

This module travels to the guest: standard library and pyelftools only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import fnmatch
import glob
import itertools
import os
import re
import struct
from array import array

from everykernel.load.attach import outcome
from everykernel.load.attach.outcome import Link, NotAttached
from everykernel.load.system import abi
from everykernel.load.system.syscalls import address, bpf, error_name, perf_event_open
from everykernel.object.sections import ATTACH_TYPE

_UPROBES = "/sys/bus/event_source/devices/uprobe"
_TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
# enum perf_sw_ids of include/uapi/linux/perf_event.h, and perf's names for them
_SOFTWARE = (
    "cpu-clock", "task-clock", "page-faults", "context-switches", "cpu-migrations", "minor-faults", "major-faults",
    "alignment-faults", "emulation-faults",
)  # fmt: skip
_CLOCK_PERIOD = 1_000_000  # ns between two samples of a clock
_SEMAPHORE_SHIFT = 32  # PERF_UPROBE_REF_CTR_OFFSET_SHIFT: format/ref_ctr_offset says config:32-63
_MULTI_RETURN = 1  # BPF_F_KPROBE_MULTI_RETURN and BPF_F_UPROBE_MULTI_RETURN
_numbers = itertools.count(1)  # probes in tracefs have names


def tracefs() -> str:
    """Return where tracefs is mounted."""
    return next((path for path in _TRACEFS if os.path.isdir(f"{path}/events")), _TRACEFS[0])  # noqa: PTH112


def read(path: str) -> str:
    """Return a small file's text without white space at its ends."""
    with open(path) as file:  # noqa: PTH123 - pathlib is slow to import where this runs
        return file.read().strip()


def perf(fd: int, event: int, what: str, cookie: int = 0) -> Link:
    """Let a perf event run a program: by a link (Linux commit b89fbfbb854c, v5.15), or by ioctl(2).

    ``cookie`` is what the program gets from bpf_get_attach_cookie(); such a link has no older way.
    Takes the event over: it is closed with the link, or at once where this raises NotAttached.
    """
    link = -1
    try:
        try:
            extra = struct.pack("=Q", cookie)
            link = bpf(abi.LINK_CREATE, abi.link_create(fd, event, ATTACH_TYPE["perf_event"], extra=extra))
        except OSError:  # without links, or refused: the older way tells why
            if cookie:
                raise
            fcntl.ioctl(event, abi.PERF_IOC_SET_BPF, fd)
        fcntl.ioctl(event, abi.PERF_IOC_ENABLE, 0)
    except OSError as e:
        for n in (link, event):
            if n >= 0:
                os.close(n)
        raise outcome.refused(what, e) from e
    return Link(link, also=(event,))


def retprobe_bit(folder: str) -> int:
    """Return the config of a probe at a function's return, as the kernel's description of the events says."""
    return 1 << int(read(f"{folder}/format/retprobe").rpartition(":")[2])


def by_tracefs(fd: int, kind: str, place: str, what: str, *, at_return: bool) -> Link:
    """Attach through tracefs: the way before perf PMUs for probes (Linux commits e12f03d7031a, 33ea4b24277b, v4.17).

    ``kind`` is kprobe or uprobe, ``place`` is written as tracefs takes it. Raises OSError where the kernel takes no
    such probe, NotAttached where it lets no program run there.
    """
    root, letter, name = tracefs(), "r" if at_return else "p", f"everykernel_{os.getpid()}_{next(_numbers)}"
    _append(f"{root}/{kind}_events", f"{letter}:{name} {place}\n")

    def undo() -> None:
        with contextlib.suppress(OSError):
            _append(f"{root}/{kind}_events", f"-:{name}\n")

    try:
        event = int(read(f"{root}/events/{kind}s/{name}/id"))
        link = perf(fd, perf_event_open(abi.perf_event(abi.PERF_TYPE_TRACEPOINT, event), -1, 0), what)
    except (OSError, NotAttached):
        undo()
        raise

    def both() -> None:
        link.close()
        undo()

    return Link(-1, both)


def _append(path: str, line: str) -> None:
    """Add a line to a file of tracefs, which refuses to seek to its end, as open() does for "a"."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, line.encode("utf-8", "surrogateescape"))
    finally:
        os.close(file)


def symbol_offsets(path: str, symbol: str) -> list[int]:
    """Return where in an ELF file a function begins, or all functions that a pattern with ``*`` and ``?`` names.

    Raises NotAttached where there is none.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    exact = symbol.encode("utf-8", "surrogateescape") + b"\0"
    pattern = re.compile(fnmatch.translate(_literal(symbol)).encode()) if _is_pattern(symbol) else None
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            elf = ELFFile(file)
            shape = ("<" if elf.little_endian else ">") + ("IBBHQQ" if elf.elfclass == 64 else "IIIBBH")
            for section in elf.iter_sections():
                if section["sh_type"] not in ("SHT_DYNSYM", "SHT_SYMTAB"):
                    continue
                found = []
                names = elf.get_section(section["sh_link"]).data()
                for entry in struct.iter_unpack(shape, section.data()):
                    name, value = entry[0], entry[4] if elf.elfclass == 64 else entry[1]
                    info, index = (entry[1], entry[3]) if elf.elfclass == 64 else (entry[3], entry[5])
                    if not index or info & 15 not in (2, 10):
                        continue
                    if pattern is None and names[name : name + len(exact)] == exact:
                        return [_in_file(elf, value)]
                    if pattern is not None and pattern.match(names, name, names.find(b"\0", name)):
                        found.append(_in_file(elf, value))
                if found:  # another table holds them again
                    return found
    except OSError as e:
        raise NotAttached(f"{path}: {error_name(e.errno)}", code="attach-target-missing", number=e.errno or 0) from e
    except (ELFError, struct.error, ValueError, AttributeError) as e:
        raise NotAttached(f"{path}: is no sound ELF file: {e}", code="attach-target-missing") from e
    raise NotAttached(f"{path}: has no function {symbol}", code="attach-target-missing")


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def _literal(pattern: str) -> str:
    """Return a pattern in which only ``*`` and ``?`` mean more than themselves, as for libbpf's glob_match."""
    return pattern.replace("[", "[[]")


def _in_file(elf: object, value: int) -> int:
    """Return the offset in the file of an address in a loaded segment."""
    for segment in elf.iter_segments("PT_LOAD"):  # type: ignore[attr-defined]
        if segment["p_vaddr"] <= value < segment["p_vaddr"] + segment["p_filesz"]:
            return int(value - segment["p_vaddr"] + segment["p_offset"])
    return value


def place(target: str) -> tuple[str, int]:
    """Return file and offset of ``FILE:FUNCTION[+OFFSET]`` or ``FILE:OFFSET``; raise NotAttached for anything else.

    A file without a slash is looked for where programs and libraries are.
    """
    path, rest = _file(target)
    symbol, _, more = rest.partition("+")
    if symbol[:1].isdigit():
        return path, outcome.number(symbol, f"uprobe {target}")
    if _is_pattern(symbol):
        raise NotAttached(f"uprobe {target}: only multi links take patterns", code="attach-target-missing")
    return path, symbol_offsets(path, symbol)[0] + outcome.number(more or "0", f"uprobe {target}")


def _file(target: str) -> tuple[str, str]:
    """Return the file of a target, and what follows it."""
    path, colon, rest = target.rpartition(":")
    if not colon:
        raise NotAttached(f"uprobe {target}: names no file: give file:function", code="attach-target-missing")
    return path if "/" in path else find_file(path), rest


def find_file(name: str) -> str:
    """Return the path of a program, or of a library by its soname; raise NotAttached where there is none."""
    libraries = [*glob.glob("/lib/*-linux-gnu*"), *glob.glob("/usr/lib/*-linux-gnu*"), "/lib", "/usr/lib", "/lib64"]  # noqa: PTH207
    for folder in libraries if ".so" in name else os.environ.get("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").split(":"):
        if os.path.isfile(f"{folder}/{name}"):  # noqa: PTH113
            return f"{folder}/{name}"
    raise NotAttached(f"{name}: there is no such program or library", code="attach-target-missing")


def uprobe(fd: int, target: str, *, at_return: bool = False) -> Link:
    """Attach to a function of a program or library, in every process that runs it."""
    path, offset = place(target)
    return at(fd, path, offset, f"{'uretprobe' if at_return else 'uprobe'} {target}", at_return=at_return)


def at(
    fd: int, path: str, offset: int, what: str, *, at_return: bool = False, semaphore: int = 0, cookie: int = 0
) -> Link:
    """Attach to an instruction of a file.

    ``semaphore`` is the offset in the file of a counter that the kernel raises meanwhile, in every process (Linux
    commit a6ca88b241d5, v4.20); ``cookie`` is for kernels that have cookies.
    """
    try:
        type_ = int(read(f"{_UPROBES}/type"))
    except FileNotFoundError:
        if semaphore:
            raise NotAttached(
                f"{what}: this kernel cannot switch the probe on", code="attach-type-unsupported"
            ) from None
        return uprobe_by_tracefs(fd, path, offset, what, at_return=at_return)
    name = bytearray(os.fsencode(path) + b"\0")
    config = (retprobe_bit(_UPROBES) if at_return else 0) | semaphore << _SEMAPHORE_SHIFT
    try:
        event = perf_event_open(abi.perf_event(type_, config, one=address(name), two=offset), -1, 0)
    except OSError as e:
        raise outcome.refused(what, e, "the kernel refuses a probe there") from e
    return perf(fd, event, what, cookie)


def uprobe_by_tracefs(fd: int, path: str, offset: int, what: str, *, at_return: bool = False) -> Link:
    """Attach to an instruction of a file where the kernel has no perf PMU for it."""
    try:
        return by_tracefs(fd, "uprobe", f"{path}:{offset:#x}", what, at_return=at_return)
    except OSError as e:
        raise outcome.refused(what, e, "the kernel refuses a probe there") from e


def uprobe_multi(fd: int, target: str, attach_type: str, *, at_return: bool = False) -> Link:
    """Attach to a function, or all that a pattern names, by a multi link (Linux commit 89ae89f53d20, v6.6)."""
    path, rest = _file(target)
    places = symbol_offsets(path, rest) if _is_pattern(rest) else [place(target)[1]]
    name, offsets = bytearray(os.fsencode(path) + b"\0"), bytearray(array("Q", places).tobytes())
    flags = _MULTI_RETURN if at_return else 0
    extra = struct.pack("=QQQQIII", address(name), address(offsets), 0, 0, len(places), flags, 0)
    return outcome.create(fd, 0, attach_type, f"uprobe {target}", extra=extra)


def kprobe_multi(fd: int, target: str, attach_type: str, *, at_return: bool = False) -> Link:
    """Attach to all functions that a pattern names (Linux commit 0dcac2725406, v5.18); it is one link."""
    what = f"kprobe {target}"
    names = (functions(target) if _is_pattern(target) else []) or [target]  # and what the kernel has not, it says
    texts = [bytearray(name.encode("utf-8", "surrogateescape") + b"\0") for name in names]
    pointers = bytearray(array("Q", map(address, texts)).tobytes())
    flags = _MULTI_RETURN if at_return else 0
    extra = struct.pack("=IIQQQ", flags, len(names), address(pointers), 0, 0)
    try:
        return outcome.create(fd, 0, attach_type, what, extra=extra)
    except NotAttached as e:
        if e.errno in (errno.ESRCH, errno.ENOENT):
            raise NotAttached(
                f"{what}: {error_name(e.errno)}: this kernel has no such function",
                code="attach-target-missing",
                number=e.errno,
            ) from e
        raise


def functions(pattern: str) -> list[str]:
    """Return the functions that can be probed and that a pattern with ``*`` and ``?`` names."""
    try:
        names = traceable()
    except OSError as e:
        raise NotAttached(
            f"kprobe {pattern}: {error_name(e.errno)}: this kernel does not list what can be probed",
            code="kernel-config-missing",
            number=e.errno or 0,
        ) from e
    pattern = _literal(pattern)
    return sorted(name for name in names if fnmatch.fnmatchcase(name, pattern))


def traceable() -> set[str]:
    """Return the functions that ftrace lists. Raises OSError where it lists none, NotAttached without tracefs."""
    return {line.split()[0] for line in read(f"{tracefs()}/available_filter_functions").splitlines()}


def perf_event(fd: int, target: str) -> Link:
    """Attach to a software event, ``EVENT[:PERIOD]``, in every task on every processor."""
    event, _, period_text = target.partition(":")
    if event not in _SOFTWARE:
        raise NotAttached(
            f"perf event {target}: is none of {', '.join(_SOFTWARE)}", code="attach-target-missing", status="failed"
        )
    number = _SOFTWARE.index(event)
    period = _CLOCK_PERIOD if number < 2 else 1
    if period_text:
        period = outcome.number(period_text, f"perf event {target}", range(1, 1 << 63))
    links: list[Link] = []
    try:
        for cpu in range(os.cpu_count() or 1):
            attributes = abi.perf_event(abi.PERF_TYPE_SOFTWARE, number, period=period)
            links.append(perf(fd, perf_event_open(attributes, -1, cpu), f"perf event {target}"))
    except (OSError, NotAttached) as e:
        for link in links:
            link.close()
        raise (e if isinstance(e, NotAttached) else outcome.refused(f"perf event {target}", e)) from e

    def undo() -> None:
        for link in links:
            link.close()

    return Link(-1, undo)
