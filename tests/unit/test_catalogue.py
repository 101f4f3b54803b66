"""The catalogue of Japanese: whole, with the values of each text, and read as gettext's own tools read it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.catalogue.translations import in_language, translations
from techsapo_ops.messages import msg
from tests.messages import catalogue
from tests.messages.said import all_said

PAGE = re.compile(r"docs/[a-z-]+\.md")
EXTRACT = "`python -m tests.messages extract` writes it anew"


def test_every_text_is_in_the_file_of_its_room_and_no_other() -> None:
    said = {(each.room, each.text) for each in all_said()}
    kept = {(r, str(m.id)) for r, found in catalogue.rooms().items() for m in catalogue.messages(found)}
    assert sorted(said - kept) == [], EXTRACT
    assert sorted(kept - said) == [], f"nothing says it any more; {EXTRACT}"


def test_no_more_texts_are_untranslated_than_before() -> None:
    left = {
        room: found for room, each in catalogue.rooms().items() if (found := catalogue.untranslated(each))
    }
    allowed = catalogue.ceilings()
    more = {room: texts for room, texts in left.items() if len(texts) > allowed.get(room, 0)}
    assert more == {}, "translate what you added: msgstr in techsapo_ops/catalogue/locale/ja"
    fewer = {room: len(left.get(room, ())) for room in allowed if len(left.get(room, ())) < allowed[room]}
    assert fewer == {}, "`python -m tests.messages lower` notes it"


def test_a_translation_has_the_values_of_its_text() -> None:
    assert catalogue.unlike(all_said(), catalogue.rooms()) == []


def test_a_translation_names_the_japanese_page_where_there_is_one() -> None:
    named = {(page, text) for text in translations("ja").values() for page in PAGE.findall(text)}
    docs = Path(__file__).parents[2]
    assert {text for page, text in named if (docs / page).with_suffix(".ja.md").exists()} == set()


def test_the_package_reads_what_babel_reads() -> None:
    read = {
        str(message.id): str(message.string)
        for each in catalogue.rooms().values()
        for message in catalogue.messages(each)
        if message.string and not message.fuzzy
    }
    assert dict(translations("ja")) == read


@each_row(
    "entry, read",
    [
        ('msgid "a"\nmsgstr "あ"\n', {"a": "あ"}),
        (
            '#: x.py\n#, python-brace-format\nmsgid "a {b}"\nmsgstr ""\n"{b}の\\n"\n"a\\\\n\\"\\t"',
            {"a {b}": '{b}の\na\\n"\t'},
        ),
        ('#, fuzzy\nmsgid "a"\nmsgstr "あ"\n', {}),
        ('#, fuzzy, python-brace-format\nmsgid "a"\nmsgstr "あ"\n', {}),
        ('msgid "a"\nmsgstr ""\n', {}),
        ('#~ msgid "a"\n#~ msgstr "あ"\n', {}),
        ('msgid ""\nmsgstr ""\n"Language: ja\\n"\n', {}),
    ],
)  # fmt: skip
def test_a_file_of_the_catalogue(
    entry: str, read: dict[str, str], tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ja").mkdir()
    path = tmp_path / "ja" / "room.po"
    path.write_text(entry + '\nmsgid "last"\nmsgstr "最後"\n', encoding="utf-8")
    monkeypatch.setattr("techsapo_ops.catalogue.translations.LOCALE", tmp_path)
    translations.cache_clear()
    try:
        assert dict(translations("ja")) == {**read, "last": "最後"}
    finally:
        translations.cache_clear()
    babels = {
        str(m.id): m.string for m in catalogue.messages(catalogue.read(path)) if m.string and not m.fuzzy
    }
    assert babels == {**read, "last": "最後"}


def test_what_is_no_message_or_has_no_translation_stays_as_it_is() -> None:
    assert in_language("plain", "ja") == "plain"
    assert in_language(msg("a text that no catalogue will ever have, {why}", why="see"), "ja") == (
        "a text that no catalogue will ever have, see"
    )
