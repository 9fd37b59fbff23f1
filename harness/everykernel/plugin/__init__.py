"""The pytest plugin: tests, objects and cases on every kernel of ``--kernels``.

pytest imports this module in every run of every project where everykernel is installed, so it imports the rest late.
"""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from everykernel.plugin import options
from everykernel.plugin.options import NO_KERNELS

if TYPE_CHECKING:
    from everykernel.plugin.under_test import KernelUnderTest, Loader


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and ini keys."""
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and the session."""
    from everykernel.plugin.hooks import Hooks
    from everykernel.plugin.session import KEY, KernelSession

    config.addinivalue_line(
        "markers",
        "kernel(scope, cpus, memory, cmdline, modules, sysctls): how the kernel fixture's guest is shared "
        "(function, class, module, session) and what machine it is",
    )
    session = KernelSession(config)
    if session.settings.keep and session.distributed:
        raise pytest.UsageError("--kernel-keep needs the terminal, and cannot be used with -n")
    config.stash[KEY] = session
    config.pluginmanager.register(Hooks(session), "everykernel-hooks")
    if session.settings.specs and session.settings.retries and not session.distributed:
        from everykernel.plugin.rerun import Rerun

        config.pluginmanager.register(Rerun(session), "everykernel-rerun")
    if session.distributed:
        from everykernel.plugin.distributed import Controller

        config.pluginmanager.register(Controller(session), "everykernel-controller")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that asks for a kernel on each kernel."""
    if "kernel" in metafunc.fixturenames:
        from everykernel.plugin.session import session_of

        specs = session_of(metafunc.config).specs() or [NO_KERNELS]
        metafunc.parametrize("kernel", specs, ids=specs, indirect=True)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect case.toml files, and objects, or programs with some, that were named or that the ini's globs match."""
    if file_path.name == "case.toml" or _is_object(file_path, parent):
        from everykernel.plugin.items import CaseFile

        return CaseFile.of(parent, file_path)
    return None


def _is_object(path: Path, parent: pytest.Collector) -> bool:
    """Whether a file that was named, or that a glob matches, is an object or an ELF program, which may hold some."""
    if parent.session.isinitpath(path):
        return path.suffix == ".o" or _is_elf(path)
    from everykernel.plugin.session import session_of

    globs = session_of(parent.config).settings.objects
    root = parent.config.rootpath
    shown = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    matches = any(fnmatch(shown, glob) or fnmatch(path.name, glob) for glob in globs)
    return matches and (path.suffix == ".o" or _is_elf(path))


def _is_elf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> KernelUnderTest:
    """A fresh kernel in a guest, one test for each of ``--kernels``: release, has_btf, run, push, pull, console.

    ``@pytest.mark.kernel(scope="module")`` shares one guest in a class, module or session;
    ``@pytest.mark.kernel(cpus=4, cmdline="lsm=bpf")`` asks for a machine (cpus, memory, cmdline, modules, sysctls).
    """
    from everykernel.plugin import under_test

    return under_test.lend_kernel(request)


@pytest.fixture
def load(kernel: KernelUnderTest, request: pytest.FixtureRequest) -> Loader:
    """Loads objects on ``kernel``: ``load("x.bpf.o")`` returns one with its maps, programs, globals, relocations."""
    from everykernel.plugin import under_test

    return under_test.make_loader(kernel, request)
