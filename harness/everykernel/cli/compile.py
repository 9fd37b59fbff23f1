"""``everykernel compile``: compile the cases' BPF programs for every architecture."""

from __future__ import annotations

import click

from everykernel.cli import say
from everykernel.compile import Result, compile_all, jobs
from everykernel.errors import CompileFailed
from everykernel.escaping import block


@click.command("compile")
@click.argument("cases", nargs=-1)
def compile_command(cases: tuple[str, ...]) -> None:
    """Compile the BPF programs of CASES (names or folders; all without any) for every architecture.

    What is up to date is left alone. Needs clang, llvm-strip and libbpf's headers.
    """
    todo = jobs(cases)

    def report(result: Result) -> None:
        if result.compiled:
            say.talk(str(result.job.target))

    try:
        results = compile_all(todo, report=report)
    except CompileFailed as e:
        click.echo(block(e.output), err=True)
        raise
    made = sum(result.compiled for result in results)
    say.talk(f"{made} objects compiled, {len(results) - made} up to date")
