"""The object is compiled once for all tests; it is one file, so no build system is needed."""

import platform
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def sizes(tmp_path_factory):
    built = tmp_path_factory.mktemp("build") / "sizes.bpf.o"
    headers = f"/usr/include/{platform.machine()}-linux-gnu"
    flags = ["-g", "-O2", "-Wall", "-target", "bpf", f"-I{headers}"]
    subprocess.run(["clang", *flags, "-c", HERE / "sizes.bpf.c", "-o", built], check=True)
    return built
