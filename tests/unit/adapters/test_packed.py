"""What is packed comes back, read whole or in pieces of any size."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters.packed import PackedReader, PackedWriter, Stream

CONTENT = os.urandom(3_000_000) + bytes(5_000_000)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "content.zst"
    with PackedWriter(path) as file:
        for at in range(0, len(CONTENT), 777_777):
            file.write(CONTENT[at : at + 777_777])
    return path


@each_row("size", [10_240, 999_983, 50_000_000])
def test_a_stream_gives_pieces_of_the_size_that_was_asked_until_the_end(packed: Path, size: int) -> None:
    stream = Stream(PackedReader(packed))
    found = []
    while piece := stream.read(size):
        found.append(piece)
    assert {len(piece) for piece in found[:-1]} <= {size}
    assert b"".join(found) == CONTENT
    assert stream.read(size) == b""


def test_what_is_left_is_read_for_the_digest(packed: Path) -> None:
    reader = PackedReader(packed)
    stream = Stream(reader)
    stream.read(100)
    stream.drain()
    assert reader.raw_bytes == len(CONTENT)
    assert stream.read(1) == b""
