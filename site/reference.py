"""Reference pages, from the code that they are about: options of the commands and of pytest, fields of results."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from typing import Any

import click
import pytest

from everykernel.cli import group
from everykernel.report import markdown, schema


def options() -> str:
    """Return the page of all commands with all their options, and of the plugin's."""
    lines = ["# Options", "", "What `--help` says, of every command; then what the pytest plugin adds.", ""]
    for path, command in _commands(group.cli, "everykernel"):
        lines += [f"## {path}", "", *_help(command), ""]
        rows = [_option(one) for one in command.params if isinstance(one, click.Option) and not one.hidden]
        if rows:
            lines += ["| option | |", "|---|---|", *rows, ""]
    lines += ["## pytest", "", "| option | |", "|---|---|", *_plugin()]
    return "\n".join(lines) + "\n"


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(command, info_name=path)
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None and not found.hidden:
            yield from _commands(found, f"{path} {name}")


def _help(command: click.Command) -> list[str]:
    arguments = " ".join(
        one.make_metavar(click.Context(command)) for one in command.params if isinstance(one, click.Argument)
    )
    text = (command.help or "").split("\f")[0].strip()
    paragraphs = [markdown.escape(" ".join(part.split())) for part in text.split("\n\n")]
    usage = [f"`{command.name} {arguments}`", ""] if arguments else []
    return [*usage, *(line for part in paragraphs for line in (part, ""))][:-1]


def _option(option: click.Option) -> str:
    context = click.Context(click.Command(option.name or ""))
    record = option.get_help_record(context)
    names, text = record or ("", "")
    return f"| `{_cell(names)}` | {markdown.escape(' '.join(text.split()))} |"


def _cell(text: str) -> str:
    """Return code in a table: a bar would end the cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _plugin() -> list[str]:
    from everykernel.plugin import options as declared

    parser = pytest.Parser(_ispytest=True)
    declared.add(parser)
    rows = []
    for option in parser.getgroup("everykernel").options:
        attributes: dict[str, Any] = option.attrs()
        told = attributes.get("help", "")
        if told == "==SUPPRESS==":
            continue
        choices = ",".join(attributes["choices"]) if attributes.get("choices") else ""
        value = attributes.get("metavar") or (f"{{{choices}}}" if choices else "")
        rows.append(f"| `{_cell(' '.join([*option.names(), value]).strip())}` | {markdown.escape(told)} |")
    return rows


def fields() -> str:
    """Return the page of the results' schema, a table a shape; result-schema.md says what the fields mean."""
    whole = schema.load()
    intro = "Made from the JSON Schema that ships with the package (`everykernel.report.schema.load()`); "
    lines = ["# Fields of results", "", intro + "[what they mean](result-schema.md).", ""]
    for name, shape in {"the file": whole, **whole["$defs"]}.items():
        if shape.get("properties"):
            lines += [f"## {name}", "", "| field | type | |", "|---|---|---|"]
            required = shape.get("required", ())
            for key, one in shape["properties"].items():
                lines.append(f"| `{key}` | {_type(one)} | {'always' if key in required else ''} |")
            lines.append("")
    return "\n".join(lines)


def _type(shape: dict[str, Any]) -> str:
    if "$ref" in shape:
        *path, name = shape["$ref"].removeprefix("#/").split("/")
        target = functools.reduce(operator.getitem, [*path, name], schema.load())
        if path != ["$defs"]:
            return _type(target)
        return f"[{name}](#{name})" if target.get("properties") else name
    if "const" in shape:
        return f"`{shape['const']}`"
    if "enum" in shape:
        return ", ".join(f"`{value}`" for value in shape["enum"])
    if "items" in shape:
        return f"list of {_type(shape['items'])}"
    kind = shape.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
