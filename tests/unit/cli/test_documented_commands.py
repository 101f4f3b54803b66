"""The commands that pages and runbooks name: each is there, has its options and takes what it is given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer._click.exceptions import BadOptionUsage, UsageError  # typer does not export them

from techsapo_ops.cli.lazy import LazyCommand
from techsapo_ops.cli.main import COMMANDS

REPOSITORY = Path(__file__).parents[3]
RUNBOOKS = REPOSITORY / "techsapo_ops" / "catalogue" / "runbooks"
_EVERY = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), *RUNBOOKS.glob("*.md")]
PAGES = sorted(page for page in _EVERY if page.name != "CHANGELOG.md")  # which also names what is gone
_SPAN = re.compile(r"`techsapo ([^`\n]+)`")
_LINE = re.compile(r"^(?: {4})?(?:\S+=\$\(.*\) )?(?:\.venv/bin/)?techsapo ([a-z].*)$", re.MULTILINE)
_INSIDE = re.compile(r"\$\(techsapo ([^)]+)\)")
_ENDS = re.compile(r"[|;&<>()]+")


def commands(page: str) -> Iterator[str]:
    """What a page says after `techsapo`, in a sentence or on a line of its own."""
    for form in (_SPAN, _LINE, _INSIDE):
        yield from form.findall(page)


def words_of(line: str) -> list[str]:
    """Its words up to a pipe, a redirection or a comment; `[…]` is what may be left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>()")
    lexer.whitespace_split = True
    found: list[str] = []
    for word in lexer:
        if _ENDS.fullmatch(word):
            break
        found.append(word)
    return [word.strip("[]") for word in found]


def complaint(line: str) -> str | None:
    """What the command line says of `techsapo LINE`; what is left out, such as a name, is no fault."""
    name, *rest = words_of(line)
    if name.startswith("-"):
        return None
    if name not in COMMANDS:
        return f"no command {name}"
    command: Any = LazyCommand(name, COMMANDS[name]).resolve()
    try:
        left = _left(command, rest)
        if left and left[0] in getattr(command, "commands", {}):
            left = _left(command.commands[left[0]], left[1:])
    except UsageError as error:
        return error.format_message()
    return f"takes no {' '.join(left)}" if left else None


def _left(command: Any, words: list[str]) -> list[str]:
    """The words that are neither an option of `command`, nor the value of one, nor one of its arguments."""
    parser = command.make_parser(command.context_class(command))
    try:
        _, left, _ = parser.parse_args(list(words))
    except BadOptionUsage:  # a sentence may name an option without a value
        _, left, _ = parser.parse_args([*words, "1"])
    found: list[str] = left
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_command_of_a_page_exists(page: Path) -> None:
    told = {f"techsapo {line}": complaint(line) for line in commands(page.read_text(encoding="utf-8"))}
    assert {command: said for command, said in told.items() if said is not None} == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ps", None),
        ("alerts silence NginxDown --for 1h --comment …", None),
        ("keys list | head", None),
        ("rollback [@N] [--yes]", None),
        ("ps redis", "takes no redis"),
        ("alert list", "no command alert"),
        ("alerts lists", "takes no lists"),
        ("logs app --tail 3", "No such option"),
        ("logs app --since", None),
        ("logs app --json=3", "does not take a value"),
    ],
)
def test_a_command_that_is_not_there_is_found(line: str, said: str | None) -> None:
    found = complaint(line)
    assert found == said if said is None else found is not None and said in found
