"""What the generated pages share: words in both languages, headings, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from techsapo_ops.catalogue.translations import Language, in_language, words_of
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.messages import Message

HERE = Path(__file__).parent


@cache
def facts(name: str) -> dict[str, Any]:
    """A YAML file of this folder."""
    read: dict[str, Any] = read_yaml((HERE / name).read_text(encoding="utf-8"))
    return read


def words(page: str, key: str, language: str) -> Any:
    """What is around the generated part of `page`."""
    return facts("words.yaml")[page][key][language]


def said(text: str, language: str) -> str:
    """A text of the package in `language`, as the command line says it; English where there are no others."""
    chosen: Language = "ja" if language == "ja" else "en"
    if isinstance(text, Message):
        return in_language(text, chosen)
    return words_of(chosen)(" ".join(text.split())) if text else text


def head(page: str, language: str) -> list[str]:
    """Title, the link to the other language, what it is."""
    other = facts("words.yaml")["other"][language].format(page=page)
    return [f"# {words(page, 'title', language)}", "", other, "", words(page, "about", language), ""]


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table; pipes and line ends in cells are made harmless."""
    lines = (f"| {' | '.join(map(_cell, row))} |" for row in (columns, ["---"] * len(columns), *rows))
    return [*lines, ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def code(text: str) -> str:
    """`text` as code; nothing where it is empty."""
    return f"`{text}`" if text else ""


def page_text(lines: Iterable[str]) -> str:
    """The page, with one line end at its end."""
    return "\n".join(lines).rstrip() + "\n"
