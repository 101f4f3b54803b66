"""Which language the command line speaks: that of --lang, TECHSAPO_LANG or the terminal, never the spec's.

One process speaks one language, so it is chosen once, before anything is said.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Annotated, Literal

import typer

from techsapo_ops.catalogue.translations import LANGUAGES, Language, in_language, words_of
from techsapo_ops.messages import Words

VARIABLE = "TECHSAPO_LANG"
_TERMINAL = ("LC_ALL", "LC_MESSAGES", "LANG")
"""In the order in which POSIX has them."""

_spoken: Language = LANGUAGES[0]


def language_of(environment: Mapping[str, str]) -> Language:
    """The language that `environment` asks for; English where it names none that there is."""
    if asked := _known(environment.get(VARIABLE, "")):
        return asked
    return _known(next((value for name in _TERMINAL if (value := environment.get(name))), "")) or LANGUAGES[0]


def speak(language: Language | None) -> None:
    """From now on say all in `language`, else in that of the environment; in English if it can't be shown."""
    global _spoken
    wanted = language or language_of(os.environ)
    _spoken = wanted if _shown(wanted) else LANGUAGES[0]


def spoken_language() -> Language:
    """The language that is spoken."""
    return _spoken


def spoken(text: str) -> str:
    """`text` as it is said to whoever reads the terminal."""
    return in_language(text, _spoken)


def spoken_words() -> Words:
    """How a template is worded in the language that is spoken."""
    return words_of(_spoken)


def _known(value: str) -> Language | None:
    """The language in a value such as `ja_JP.UTF-8`."""
    return next((known for known in LANGUAGES if value[: len(known)].lower() == known), None)


def _shown(language: Language) -> bool:
    """Whether the terminal's encoding has what the language is written in."""
    if language == LANGUAGES[0]:
        return True
    try:
        "日本語、かな。".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _speak(language: Language | None) -> None:
    if language is not None:
        speak(language)


LangOption = Annotated[
    Literal["en", "ja"] | None,
    typer.Option(
        "--lang",
        callback=_speak,
        is_eager=True,
        help="Language of the output; default: TECHSAPO_LANG, else the terminal's.",
        show_default=False,
    ),
]
"""--lang of the root command, before the command's name."""
HiddenLangOption = Annotated[
    Literal["en", "ja"] | None,
    typer.Option("--lang", callback=_speak, is_eager=True, hidden=True, expose_value=False),
]
"""--lang behind a command's name."""
