"""The `.env` file."""

from __future__ import annotations

import pytest
from rows import each_row

from techsapo_ops.spec.problems import SpecError
from techsapo_ops.spec.variables import parse_dotenv


@each_row(
    "line, value",
    [
        ("A=b", "b"),
        ("  export A = b c  ", "b c"),
        ("A=", ""),
        ("A= # nothing", ""),
        ("A=b#c", "b#c"),
        ("A=b #c", "b"),
        ("A=b=c", "b=c"),
        ("A='b #c $D \\n'", "b #c $D \\n"),
        ("A='b' # c", "b"),
        (r'A="b\n\"c\" \\ \$D \x"', 'b\n"c" \\ $D \\x'),
        ("A=日本語", "日本語"),
        ("A=b\r", "b"),
        ("\ufeffA=b", "b"),
        ("# A=x\n\nA=1\nA=2", "2"),
    ],
)
def test_a_line_gives_its_value(line: str, value: str) -> None:
    assert parse_dotenv(line) == {"A": value}


def test_every_wrong_line_is_told_and_no_value_is_shown() -> None:
    text = 'A=1\nhunter2\nB=\'hunter2\n9C=hunter2\nD="a" hunter2\n'
    with pytest.raises(SpecError) as caught:
        parse_dotenv(text, "x/.env")
    assert caught.value.message.splitlines() == [
        "x/.env:2:1 this line is not a NAME=value pair; a name may contain only letters, digits and _",
        "x/.env:3:1 B: the quote is not closed; close it on the same line",
        "x/.env:4:1 this line is not a NAME=value pair; a name may contain only letters, digits and _",
        "x/.env:5:1 D: there is text after the closing quote; only a # comment may follow it",
    ]
