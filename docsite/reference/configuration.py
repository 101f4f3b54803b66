"""The configuration reference, from the models of the spec by way of `explain`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from docsite.reference.parts import code, head, page_text, said, table, words
from techsapo_ops.spec.describe import Child, explain

PAGE = "configuration"
_WIDEST = 60


def configuration(language: str) -> str:
    """The page: the top level, then each section with what stands in it."""
    lines = head(PAGE, language)
    for path, children in _sections("", ""):
        lines += [f"## {code(path) or words(PAGE, 'top', language)}", ""]
        lines += table(words(PAGE, "columns", language), (_row(child, language) for child in children))
    return page_text(lines)


def _sections(path: str, shown: str) -> Iterator[tuple[str, tuple[Child, ...]]]:
    """Each section below `path`, which is shown as `shown`: entries by name as NAME, of a list as []."""
    children = explain(path).children
    if not children:
        return
    yield shown, children
    for child in {child.key: child for child in children}.values():
        if "section" not in child.type:
            continue
        entry = ".NAME" if child.type.startswith("mapping") else "[]" if child.type.startswith("list") else ""
        dot = "." if path else ""
        yield from _sections(f"{path}{dot}{child.key}", f"{shown}{dot}{child.key}{entry}")


def _row(child: Child, language: str) -> list[str]:
    default = words(PAGE, "required", language) if child.required else _shown(child.default)
    only = f" ({words(PAGE, 'only', language).format(kind=child.kind)})" if child.kind else ""
    return [code(child.key), said(child.type, language), default, said(child.help, language) + only]


def _shown(default: Any) -> str:
    if default is None or default in ([], {}):
        return ""
    text = default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)
    return code(text) if len(text) <= _WIDEST else "…"
