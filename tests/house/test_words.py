"""One name a concept, in both languages: no word that is not used, and a glossary whose places are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml
from rows import each_row

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "techsapo_ops"
GLOSSARY = REPOSITORY / "docs" / "glossary.md"
WORDS: dict[str, list[dict[str, str]]] = yaml.safe_load(
    (Path(__file__).with_name("words.yaml")).read_text("utf-8")
)
COLUMNS = ("English", "日本語", "what it is", "意味", "where", "not")
_READ = {".md", ".py", ".po", ".yaml", ".js", ".html", ".css", ".j2", ".tmpl", ".svg"}


@cache
def texts() -> dict[str, str]:
    """What people read, by path: docs, examples, templates and the package; not the glossary."""
    folders = (REPOSITORY / name for name in ("docs", "examples", "templates", "techsapo_ops"))
    files = [
        *REPOSITORY.glob("README*.md"),
        REPOSITORY / "CONTRIBUTING.md",
        *(p for f in folders for p in f.rglob("*")),
    ]
    # docs/reference/ is made of texts of the package: what is wrong there is wrong here.
    read = [p for p in files if p.suffix in _READ and p != GLOSSARY and p.parent.name != "reference"]
    return {str(p.relative_to(REPOSITORY)): _text(p) for p in sorted(read)}


def _text(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return unescape(text).replace("\xa0", " ") if path.suffix == ".svg" else text  # of what a terminal showed


@cache
def japanese_pages() -> dict[str, str]:
    """The Japanese documentation without code."""
    pages = {name: text for name, text in texts().items() if name.endswith(".ja.md") or "runbooks/" in name}
    return {name: _prose(text) for name, text in pages.items()}


def _prose(text: str) -> str:
    """Without code, links' targets and what is indented as code; lines stay where they are."""
    text = re.sub(r"```.*?```", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL)
    text = re.sub(r"^ {4}(?! *[-\d]).*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`\n]*`|\]\([^)\n]*\)", "`", text)


def found(word: str, pages: dict[str, str]) -> Iterator[str]:
    """Places of `word` in the pages."""
    for name, text in pages.items():
        for match in re.finditer(word, text, re.IGNORECASE):
            yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"


def entries() -> list[Any]:
    return [pytest.param(where, entry, id=entry["example"]) for where in WORDS for entry in WORDS[where]]


@each_row("where, entry", entries())
def test_a_word_that_is_not_used_occurs_nowhere(where: str, entry: dict[str, str]) -> None:
    assert re.search(entry["word"], entry["example"], re.IGNORECASE), "finds not even its example"
    places = list(found(entry["word"], texts() if where == "everywhere" else japanese_pages()))
    assert not places, f"say {entry['instead']!r}:\n" + "\n".join(places)


def rows() -> list[dict[str, str]]:
    """The glossary's table."""
    lines = [line for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert tuple(cells[0]) == COLUMNS
    return [dict(zip(COLUMNS, row, strict=True)) for row in cells[1:] if not row[0].startswith("---")]


def test_the_glossary_has_each_concept_once_in_both_languages() -> None:
    for column in ("English", "日本語"):
        names = [row[column] for row in rows()]
        assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)
    assert all(row[column] for row in rows() for column in COLUMNS[:-1])


def test_the_glossarys_japanese_is_the_word_that_pages_and_alerts_use() -> None:
    used = "\n".join(text for name, text in texts().items() if re.search(r"[ぁ-ん]", text))
    unused = [row["日本語"] for row in rows() if row["日本語"].strip("`") not in used]
    assert unused == []


def test_the_glossarys_english_is_the_word_that_docs_and_help_use() -> None:
    used = "\n".join(texts().values()).lower()
    assert [row["English"] for row in rows() if row["English"].lower() not in used] == []


def test_words_that_the_glossary_rules_out_occur_nowhere() -> None:
    words = {word.strip() for row in rows() for word in row["not"].split(",") if word.strip()}
    assert words
    assert [place for word in sorted(words) for place in found(re.escape(word), texts())] == []


def places() -> list[str]:
    """Everything that the glossary's column `where` names."""
    return sorted({name for row in rows() for name in re.findall(r"`([^`]+)`", row["where"])})


@each_row("name", places())
def test_a_place_that_the_glossary_names_is_there(name: str) -> None:
    if name.startswith("techsapo "):
        command = [word for word in name.split()[1:] if word[0].isalpha()]
        if "--into" in name:
            command.remove("scratch")
        assert succeeds(*command, "--help")
    elif name.startswith("techsapo_"):
        catalogue = (p.read_text(encoding="utf-8") for p in (PACKAGE / "catalogue").glob("*metrics.yaml"))
        assert re.search(rf"^{name}:", "\n".join(catalogue), re.MULTILINE)
    elif name.startswith(".techsapo/"):
        assert any(found(re.escape(name), texts()))
    elif "/" in name:
        assert (PACKAGE / name).exists()
    else:
        assert succeeds("explain", name)


def succeeds(*words: str) -> bool:
    """Whether `techsapo words…` ends with 0."""
    from typer.testing import CliRunner

    from techsapo_ops.cli.main import app

    return CliRunner().invoke(app, list(words)).exit_code == 0
