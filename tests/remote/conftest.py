"""The program, on this host: it is asked for files and memory here, and never for anything of BPF."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from everykernel.architectures import ARCHITECTURES
from everykernel.remote import program
from everykernel.remote.line import Line
from everykernel.remote.stream import Pipes
from everykernel.remote.system import Remote


@pytest.fixture(scope="session", params=["x86_64", "i386"])
def there(request: pytest.FixtureRequest) -> Iterator[Remote]:
    """This machine, through the program of 64 and of 32 bits on standard streams."""
    path = program.build(ARCHITECTURES[request.param])
    with subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = Line(Pipes(process.stdout.fileno(), process.stdin.fileno()), "here")
        yield Remote(line, line.greet(), request.param)
        process.stdin.close()
        assert process.wait(10) == 0
