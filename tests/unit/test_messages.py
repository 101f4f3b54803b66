"""Messages: English wherever a text is wanted, and another language for whoever reads it."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import orjson
import pytest
from rows import each_row

from techsapo_ops.catalogue.translations import translations
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import Message, joined, msg, said
from tests.messages import catalogue

WORDS = {
    "no copy in {place} can be read": "{place}には読める複製がありません",
    "the folder {path}": "フォルダー{path}",
    "broken {one}": "壊れた{other}",
    "odd {one}": "奇妙な{one",
    "{name:12}|": "{name:12}|",
    "failed": "失敗しました",
}


def in_japanese(text: str) -> str:
    return text.said(lambda template: WORDS.get(template, template)) if isinstance(text, Message) else text


def test_a_message_is_its_english_text() -> None:
    told = msg("no copy in {place} can be read", place=Path("/srv"))
    assert told == "no copy in /srv can be read"
    assert {told: 1}["no copy in /srv can be read"] == 1
    assert json.dumps(told) == '"no copy in /srv can be read"'
    assert orjson.dumps({"told": told}) == b'{"told":"no copy in /srv can be read"}'
    assert type(pickle.loads(pickle.dumps(told))) is str  # noqa: S301 - its own
    assert copy.deepcopy(told) == told


def test_values_that_are_messages_are_said_in_the_same_language() -> None:
    told = msg("no copy in {place} can be read", place=msg("the folder {path}", path="/srv"))
    assert told == "no copy in the folder /srv can be read"
    assert in_japanese(told) == "フォルダー/srvには読める複製がありません"


def test_a_value_is_never_taken_for_a_template() -> None:
    hostile = "{place} {0} {place.__class__} }{"
    told = msg("no copy in {place} can be read", place=hostile)
    assert told == f"no copy in {hostile} can be read"
    assert in_japanese(told) == f"{hostile}には読める複製がありません"
    glued = told + hostile
    assert in_japanese(glued) == f"{hostile}には読める複製がありません{hostile}"


@each_row("template", ["unknown to the catalogue {one}", "broken {one}", "odd {one}"])
def test_what_cannot_be_said_is_said_in_english(template: str) -> None:
    told = Message(template, {"one": 1})
    assert in_japanese(told) == template.replace("{one}", "1")


def test_a_message_is_padded_by_the_cells_that_it_takes() -> None:
    assert msg("{name:12}|", name=msg("failed")) == "failed      |"
    assert in_japanese(msg("{name:12}|", name=msg("failed"))) == "失敗しました|"
    assert in_japanese(msg("{name:>16}|", name=msg("failed"))) == "    失敗しました|"
    assert in_japanese(msg("{name:6}|", name=msg("ＡＢ"))) == "ＡＢ  |"


def test_what_is_made_of_a_message_stays_one() -> None:
    failed = msg("failed")
    for made, english, japanese in (
        (failed + ": disk", "failed: disk", "失敗しました: disk"),
        ("disk " + failed, "disk failed", "disk 失敗しました"),
        (str(failed), "failed", "失敗しました"),
        (msg("  failed ").strip(), "failed", "failed"),
        (joined("; ", ["{a}", failed]), "{a}; failed", "{a}; 失敗しました"),
        (joined("{}", [failed, failed]), "failed{}failed", "失敗しました{}失敗しました"),
        (failed.changed(lambda text: text[:2]), "fa", "失敗"),
        (failed.replace("a", "A"), "fAiled", "失敗しました"),
        (failed.replace("f", "F").strip("F"), "ailed", "失敗しました"),
    ):
        assert (made, in_japanese(made)) == (english, japanese)


def test_parts_are_joined_and_cut_by_the_marks_of_the_language() -> None:
    def words(template: str) -> str:
        known = {", ": "、", "; ": "。", "what: remedy": "困ったこと：直し方", "a: b: c": "一：二：三"}
        return known.get(template, template)

    told = joined("; ", [joined(", ", ["redis", "app-1"]), msg("what: remedy")])
    assert (told, said(told, words)) == ("redis, app-1; what: remedy", "redis、app-1。困ったこと：直し方")
    what, _, remedy = msg("what: remedy").partition(": ")
    assert (what, remedy) == ("what", "remedy")
    assert (said(what, words), said(remedy, words)) == ("困ったこと", "直し方")
    before, _, last = msg("a: b: c").rpartition(": ")
    assert (before, last, said(before, words), said(last, words)) == ("a: b", "c", "一：二", "三")


def test_an_error_is_said_with_its_hint() -> None:
    error = OpsError(msg("no copy in {place} can be read", place="x"), msg("failed"))
    assert str(error) == "no copy in x can be read; failed"
    assert in_japanese(str(error)) == "xには読める複製がありません; 失敗しました"
    assert in_japanese(msg("the folder {path}", path=error)) == f"フォルダー{in_japanese(str(error))}"
    assert str(OpsError("plain")) == "plain"


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
    entry: str, read: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
