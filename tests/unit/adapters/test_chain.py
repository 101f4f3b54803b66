"""The chain of records: what is found out about one that was changed, cut short or written anew."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from techsapo_ops.adapters.chain import Chain
from techsapo_ops.errors import OpsError


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path / "administration")


def filled(chain: Chain, count: int = 3) -> list[bytes]:
    for number in range(count):
        chain.append({"action": f"step {number}", "what": {"name": "鍵\n\x1b[31m"}})
    return chain.path.read_bytes().splitlines(keepends=True)


def test_records_follow_each_other_and_are_their_owner_s_alone(chain: Chain) -> None:
    lines = filled(chain)
    reading = chain.read()
    assert [r.head.sequence for r in reading.records] == [1, 2, 3]
    assert (reading.breaks, reading.torn) == ((), 0)
    assert len(lines) == 3
    assert b"\x1b" not in b"".join(lines)
    assert chain.path.stat().st_mode & 0o777 == 0o600
    assert chain.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_record_that_was_changed_removed_or_cut_is_told(chain: Chain) -> None:
    one, two, three = filled(chain)
    for lines, line in (
        ((one, two.replace(b"step 1", b"step 9"), three), 3),
        ((one, three), 2),
        ((one, two[:40] + b"\n", three), 2),
        ((two, three), 1),
    ):
        chain.path.write_bytes(b"".join(lines))
        assert chain.read().breaks[0].line == line


def test_a_record_takes_the_place_of_one_that_was_cut_short(chain: Chain) -> None:
    lines = filled(chain)
    chain.path.write_bytes(b"".join(lines[:2]) + lines[2][:30])
    assert (chain.read().torn, chain.read().breaks) == (30, ())
    assert chain.read().head == chain.read().records[1].head
    head = chain.append({"action": "later"})
    reading = chain.read()
    assert (head.sequence, reading.head, reading.torn, reading.breaks) == (3, head, 0, ())


def test_a_broken_chain_goes_on_and_its_break_stays(chain: Chain) -> None:
    filled(chain)
    chain.path.write_bytes(chain.path.read_bytes() + b"not ours\n")
    assert chain.append({"action": "later"}).sequence == 5
    assert [b.line for b in chain.read().breaks] == [4]


def test_on_a_full_disk_nothing_is_left_of_a_record(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    before = b"".join(filled(chain))
    real = os.write
    calls: list[int] = []

    def write(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, bytes(data)[:20])

    monkeypatch.setattr("techsapo_ops.adapters.chain.os.write", write)
    with pytest.raises(OpsError, match="No space left on device") as full:
        chain.append({"action": "later"})
    assert "disk is full" in full.value.hint
    assert chain.path.read_bytes() == before
