"""Hooks of ProperDocs: pages made from code, pages that stand elsewhere in the repository, links out of the docs."""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from properdocs.config.defaults import ProperDocsConfig
from properdocs.structure.files import File, Files
from properdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))

import reference  # noqa: E402 - it lies beside this file, which ProperDocs loads by its path

ELSEWHERE = {"index.md": "README.md", "changelog.md": "CHANGELOG.md", "architecture.md": "ARCHITECTURE.md"}
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"(?<!!)\[([^\]\n]+)\]\(([^)\s]+)\)")


def on_files(files: Files, config: ProperDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    pages = {name: (ROOT / path).read_text(encoding="utf-8") for name, path in ELSEWHERE.items()}
    pages |= {"options.md": reference.options(), "fields.md": reference.fields()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: ProperDocsConfig, files: Files) -> str:
    """Turn links to what the site does not have into the paths of files in the repository.

    A bar in a table's code, which GitHub wants escaped, is taken by Python-Markdown as it is.
    """
    from_top = page.file.src_uri in ELSEWHERE
    markdown = _CODE.sub(lambda found: found[0].replace("\\|", "|"), markdown)
    return _LINK.sub(lambda found: _link(found, files, from_top), markdown)


def _link(found: re.Match[str], files: Files, from_top: bool) -> str:
    text, target = found.groups()
    path, hash_, anchor = target.partition("#")
    if not path or "://" in path:
        return found[0]
    moved = {other: name for name, other in ELSEWHERE.items()}
    seen = str(PurePosixPath(path)) if from_top else str(PurePosixPath("docs") / path)
    seen = str(Path(seen)) if ".." not in seen else _normal(seen)
    name = moved.get(seen) or seen.removeprefix("docs/")
    known = any(file.src_uri == name and not name.startswith("examples/") for file in files)
    if known:
        return f"[{text}]({name}{hash_}{anchor})"
    if not (ROOT / seen).exists():
        return found[0]  # ProperDocs says that it leads nowhere
    return text if seen in text else f"{text} (`{seen}`)"


def _normal(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        else:
            parts.append(part)
    return "/".join(parts)


def on_config(config: ProperDocsConfig) -> Any:
    """Say which version the pages are of."""
    from importlib.metadata import version

    config.site_name = f"everykernel {version('everykernel')}"
    return config
