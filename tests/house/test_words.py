"""What people read: one name a concept, no word that is not used, and both languages say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html import unescape
from pathlib import Path

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.describe import explain
from tests.house.commands import wrong
from tests.messages import catalogue
from tests.messages.said import all_said

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "techsapo_ops"
GLOSSARY = REPOSITORY / "docs" / "glossary.md"
WORDS: dict[str, list[dict[str, str]]] = read_yaml(
    (Path(__file__).with_name("words.yaml")).read_text("utf-8")
)
COLUMNS = ("English", "日本語", "what it is", "意味", "where", "not")
_READ = {".md", ".py", ".po", ".yaml", ".js", ".html", ".css", ".j2", ".tmpl", ".svg"}


@cache
def texts() -> dict[str, str]:
    """What people read, by path, in small letters: all but the glossary."""
    folders = (REPOSITORY / name for name in ("docs", "examples", "templates", "techsapo_ops"))
    files = [
        *REPOSITORY.glob("README*.md"),
        REPOSITORY / "CONTRIBUTING.md",
        *(p for f in folders for p in f.rglob("*")),
    ]
    read = [p for p in files if p.suffix in _READ and p != GLOSSARY]
    return {str(p.relative_to(REPOSITORY)): _text(p).lower() for p in sorted(read)}


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
        for match in re.finditer(word, text):
            yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"


def rows() -> list[dict[str, str]]:
    """The glossary's table."""
    lines = [line for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert tuple(cells[0]) == COLUMNS
    return [dict(zip(COLUMNS, row, strict=True)) for row in cells[1:] if not row[0].startswith("---")]


def test_a_word_that_is_not_used_occurs_nowhere() -> None:
    places = []
    for where, entries in WORDS.items():
        pages = texts() if where == "everywhere" else japanese_pages()
        for entry in entries:
            assert re.search(entry["word"], entry["example"].lower()), f"{entry} finds not even its example"
            places += [f"{place}: say {entry['instead']!r}" for place in found(entry["word"], pages)]
    ruled_out = {word.strip() for row in rows() for word in row["not"].split(",") if word.strip()}
    assert ruled_out
    places += [place for word in sorted(ruled_out) for place in found(re.escape(word.lower()), texts())]
    assert places == []


def test_every_message_is_in_both_languages_with_the_same_values() -> None:
    """`python -m tests.messages extract` writes the files of techsapo_ops/catalogue/locale/ja anew."""
    kept = catalogue.rooms()
    said = {(each.room, each.text) for each in all_said()}
    there = {(room, str(message.id)) for room, each in kept.items() for message in catalogue.messages(each)}
    assert sorted(said - there) == []
    assert sorted(there - said) == [], "nothing says it any more"
    left = {room: texts for room, each in kept.items() if (texts := catalogue.untranslated(each))}
    assert left == {}, "translate what you added"
    assert catalogue.unlike(all_said(), kept) == []


def test_the_glossary_has_each_concept_once_and_its_words_are_those_in_use() -> None:
    english, japanese = [], []
    everything = "\n".join(texts().values())
    for row in rows():
        assert all(row[column] for column in COLUMNS[:-1])
        assert row["English"].lower() in everything
        assert row["日本語"].strip("`").lower() in everything
        english.append(row["English"])
        japanese.append(row["日本語"])
    assert len(english) == len(set(english))
    assert len(japanese) == len(set(japanese))


def test_every_place_that_the_glossary_names_is_there() -> None:
    named = {name for row in rows() for name in re.findall(r"`([^`]+)`", row["where"])}
    assert len(named) > 50
    assert sorted(name for name in named if not _is_there(name)) == []


def _is_there(name: str) -> bool:
    if name.startswith("techsapo "):
        return wrong(name) == ""
    if name.startswith("techsapo_"):
        files = (PACKAGE / "catalogue").glob("*metrics.yaml")
        return any(re.search(rf"^{name}:", file.read_text("utf-8"), re.MULTILINE) for file in files)
    if name.startswith(".techsapo/"):
        return any(name in text for text in texts().values())
    if "/" in name:
        return (PACKAGE / name).exists()
    try:
        explain(name)
    except OpsError:
        return False
    return True
