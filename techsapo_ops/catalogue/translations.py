"""The words of other languages for what is said in English: gettext catalogues, one file for each room.

They are read as they are kept; the standard library reads compiled ones only. What was read is kept as JSON,
which is read in a quarter of the time. `python -m tests.messages` writes them, and a test finds that Babel
reads the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Literal, get_args

from techsapo_ops.messages import Message, Words

Language = Literal["en", "ja"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
"""English, which everything is written in, first."""
LOCALE = Path(__file__).parent / "locale"
FORMAT = 1
"""Another one for each change of how catalogues are read here."""

_STRING = r'((?:".*"\n)+)'
_ENTRY = re.compile(rf"^msgid {_STRING}msgstr {_STRING}", re.MULTILINE)
_FUZZY = re.compile(r"^#,.*\bfuzzy\b.*\n(?:#.*\n)*msgid ", re.MULTILINE)
"""Said of a translation of a former text."""
_ESCAPED = re.compile(r"\\(.)")
_MEANT = {"n": "\n", "t": "\t", "r": "\r"}


@cache
def translations(language: Language) -> Mapping[str, str]:
    """The templates of messages in `language` by the English ones, without those that are not translated."""
    from techsapo_ops.catalogue.compiled import FOLDER, compiled  # who reads English needs no JSON

    folder = LOCALE / language
    rooms = {path.name: path for path in sorted(folder.glob("*.po"))}

    def read() -> dict[str, str]:
        return {
            english: translated
            for path in rooms.values()
            for english, translated in _entries(path.read_text(encoding="utf-8"))
        }

    return compiled(folder / FOLDER / "words.json", rooms, FORMAT, read) or read()


def words_of(language: Language) -> Words:
    """How a template is worded in `language`; English where the catalogue has no such words."""
    return str if language == LANGUAGES[0] else partial(_worded, translations(language))


def in_language(text: str, language: Language) -> str:
    """`text` in `language` if it is a message, and as it is if it is not, or is English already."""
    if language == LANGUAGES[0] or not isinstance(text, Message):
        return text
    return text.said(words_of(language))


def _worded(translated: Mapping[str, str], template: str) -> str:
    return translated.get(template, template)


def _entries(catalogue: str) -> Iterator[tuple[str, str]]:
    for english, translated in _ENTRY.findall(_FUZZY.sub("#", catalogue + "\n")):
        text = _text(translated)
        if text and english != '""\n':
            yield _text(english), text


def _text(lines: str) -> str:
    """What stands in the quotes of some lines."""
    held = "".join(line[1:-1] for line in lines.splitlines())
    return _ESCAPED.sub(lambda match: _MEANT.get(match[1], match[1]), held) if "\\" in held else held
