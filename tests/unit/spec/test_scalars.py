"""Plain scalars: what YAML 1.1 and 1.2 read alike is taken, the rest is a trap with a way out."""

from __future__ import annotations

import math
import re

import pytest
import yaml
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import each_row

from techsapo_ops.spec.source import Trap, plain


@each_row(
    "text, value",
    [
        ("", None),
        ("~", None),
        ("Null", None),
        ("true", True),
        ("FALSE", False),
        ("0", 0),
        ("-17", -17),
        ("+4", 4),
        ("0x1F", 31),
        ("1.5", 1.5),
        (".5", 0.5),
        ("2.", 2.0),
        ("1.5e+3", 1500.0),
        ("-.inf", -math.inf),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1:4000", "127.0.0.1:4000"),
        ("10M", "10M"),
        ("1h30m", "1h30m"),
        ("5-6", "5-6"),
        ("-", "-"),
        ("--flag", "--flag"),
        ("ja", "ja"),
        ("once", "once"),
        ("qwen/qwen3-235b", "qwen/qwen3-235b"),
        ("日本語", "日本語"),
        ("１２", "１２"),
    ],
)
def test_a_scalar_with_one_meaning_is_read(text: str, value: object) -> None:
    result = plain(text)
    assert result == value
    assert type(result) is type(value)


@each_row(
    "text, hint",
    [
        ("on", 'write true, or "on" for the text'),
        ("NO", 'write false, or "NO" for the text'),
        ("y", 'write true, or "y" for the text'),
    ],
)
def test_a_word_that_some_readers_take_for_a_switch_is_a_trap(text: str, hint: str) -> None:
    result = plain(text)
    assert isinstance(result, Trap)
    assert result.hint == hint


@each_row(
    "text",
    [
        "010", "-007", "00", "0o17", "0b1", "-0x1F", "1e9", "1.5e3", "1e-3", "1e99", "-.5", "1_000",
        "12:30:45", "2024-01-31", "2024-01-31T12:00:00Z", "2024-1-1 9:30:00 +9", "=",
    ],
)  # fmt: skip
def test_a_scalar_that_readers_disagree_on_is_a_trap(text: str) -> None:
    result = plain(text)
    assert isinstance(result, Trap)
    assert result.hint.startswith(f'write "{text}" for the text')


looks_like_a_number = st.from_regex(re.compile(r"[-+]?[0-9._:eExobTZ+-]{0,10}", re.ASCII), fullmatch=True)


@settings(max_examples=examples(60))
@given(st.one_of(looks_like_a_number, st.text(alphabet="yesnotrufalYEN~=.inf", max_size=5)))
def test_whatever_is_taken_is_what_yaml_1_1_takes_too(text: str) -> None:
    result = plain(text)
    if isinstance(result, Trap):
        return
    try:
        theirs = yaml.SafeLoader("").construct_object(
            yaml.ScalarNode(yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False)), text)
        )
    except ValueError:  # PyYAML takes 2024-99-99 for a date and then fails on it
        pytest.fail(f"{text!r} was taken as {result!r}")
    assert result == theirs or (result != result and theirs != theirs)
