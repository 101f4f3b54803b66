"""Lines of containers, as the docker client hands them out."""

from __future__ import annotations

import json

from rows import each_row

from techsapo_ops.engines.containers.logs import line_of

STAMP = "2026-11-26T21:39:03.234277373Z"
CUT = 16_384
"""Bytes after which Docker cuts a line. Its client then writes the line's time once more (tried with 28)."""


def handed_out(text: str) -> str:
    """`text` as `docker logs --timestamps` shows it."""
    raw = text.encode()
    return "".join(
        f"{STAMP} {raw[n : n + CUT].decode(errors='replace')}" for n in range(0, max(len(raw), 1), CUT)
    )


@each_row("length", [10, CUT, CUT + 1, 3 * CUT, 100_000])
def test_a_line_that_docker_cut_is_whole_again(length: int) -> None:
    text = json.dumps({"level": "info", "message": "x" * length})
    assert line_of("app-1", handed_out(text)).text == text


@each_row("length", [5_500, 20_000])
def test_of_a_cut_character_alone_something_is_lost(length: int) -> None:
    text = json.dumps({"message": "あ" * length}, ensure_ascii=False)
    found = line_of("app-1", handed_out(text)).text
    assert STAMP not in found
    assert set(json.loads(found)["message"]) <= {"あ", "\ufffd"}
