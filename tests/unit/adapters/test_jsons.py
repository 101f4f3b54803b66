from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.adapters.jsons import dump, load


@each_row(
    "value, text",
    [
        ({"答え": ["ディスク", 0.5, None, True]}, '{"答え":["ディスク",0.5,null,true]}'),
        ("broken \ud800 off", '"broken ? off"'),
        ({"tokens": 2**70}, f'{{"tokens":{2**70}}}'),
        ("\0", '"\\u0000"'),
    ],
)
def test_values_become_compact_utf_8(value: Any, text: str) -> None:
    assert dump(value).decode() == text


def test_what_json_has_no_word_for_needs_a_default() -> None:
    with pytest.raises(TypeError):
        dump({"file": Path("a")})
    assert dump({"file": Path("a")}, default=str) == b'{"file":"a"}'


@each_row("raw", ["", "{", "[1,]", "'x'", b"\xff"])
def test_what_is_not_json_is_a_value_error(raw: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kind is what callers catch
        load(raw)
