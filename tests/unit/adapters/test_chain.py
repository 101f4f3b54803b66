"""The chain of records: what is found out about one that was changed, cut short or written anew."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from techsapo_ops.adapters.chain import CLOSED, Chain
from techsapo_ops.errors import OpsError


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    folder = tmp_path / "administration"
    return Chain(folder / "record.jsonl", folder / "key")


def filled(chain: Chain, count: int = 3) -> list[bytes]:
    for number in range(count):
        chain.append({"action": f"step {number}", "what": {"name": "鍵\n\x1b[31m"}})
    return chain.path.read_bytes().splitlines(keepends=True)


def test_records_follow_each_other_and_are_their_owner_s_alone(chain: Chain) -> None:
    lines = filled(chain)
    reading = chain.read()
    assert [r.head.sequence for r in reading.records] == [1, 2, 3]
    assert (reading.breaks, reading.torn) == ((), b"")
    assert len(lines) == 3
    assert b"\x1b" not in b"".join(lines)
    assert [p.stat().st_mode & 0o777 for p in sorted(chain.path.parent.iterdir())] == [0o600, 0o600]
    assert chain.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_record_that_was_changed_removed_or_cut_is_told(chain: Chain) -> None:
    one, two, three = filled(chain)
    for lines, line in (
        ((one, two.replace(b"step 1", b"step 9"), three), 2),
        ((one, three), 2),
        ((one, two[:40] + b"\n", three), 2),
        ((two, three), 1),
    ):
        chain.path.write_bytes(b"".join(lines))
        assert chain.read().breaks[0].line == line


def test_a_chain_of_another_key_is_told_though_its_hashes_fit(chain: Chain, tmp_path: Path) -> None:
    filled(chain)
    other = Chain(tmp_path / "other" / "record.jsonl", tmp_path / "other" / "key")
    filled(other)
    chain.path.write_bytes(other.path.read_bytes())
    assert "by another key" in chain.read().breaks[0].why


def test_what_was_torn_is_kept_in_the_record_that_takes_its_place(chain: Chain) -> None:
    lines = filled(chain)
    torn = lines[2][:30]
    chain.path.write_bytes(b"".join(lines[:2]) + torn)
    chain.append({"action": "later"})
    closed = chain.read().records[2].content
    assert (closed["action"], closed["bytes"], closed["text"]) == (CLOSED, 30, torn.decode())
    assert closed["sha256"] == hashlib.sha256(torn).hexdigest()


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
