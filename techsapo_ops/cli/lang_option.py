"""`--lang`, which every command takes, before and after its name."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

import typer

from techsapo_ops.catalogue.translations import Language
from techsapo_ops.cli.language import speak

NAME = "--lang"


def _speak(language: Language | None) -> None:
    if language is not None:
        speak(language)


LangOption = Annotated[
    Literal["en", "ja"] | None,
    typer.Option(
        NAME,
        callback=_speak,
        is_eager=True,
        help="Language of what is said; else by TECHSAPO_LANG, or the terminal's.",
        show_default=False,
    ),
]
"""--lang, of the root command: what stands before the command's name."""


_HiddenLangOption = Annotated[
    Literal["en", "ja"] | None,
    typer.Option(NAME, callback=_speak, is_eager=True, hidden=True, expose_value=False),
]


def with_lang(command: Any) -> Any:
    """`command`, of Typer, which takes --lang as well, and so do those in it; one with its own keeps that."""
    if all(NAME not in parameter.opts for parameter in command.params):
        command.params.append(_hidden())
    for each in getattr(command, "commands", {}).values():
        with_lang(each)
    return command


@cache
def _hidden() -> Any:
    """--lang as a parameter of Typer: no help page but the root's tells it, and no function is given it."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def lang(lang: _HiddenLangOption = None) -> None: ...

    return typer.main.get_command(app).params[0]
