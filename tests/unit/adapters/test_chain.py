"""The chain of records: what is found out about one that was changed, cut short or written anew."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from techsapo_ops.adapters.chain import CLOSED, KEY_MADE, Chain
from techsapo_ops.adapters.chain_records import Reading
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


def test_a_file_that_is_not_there_holds_nothing(chain: Chain) -> None:
    assert chain.read() == Reading()


def changed(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b"step 1", b"step 9"), lines[2]]


def removed(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2]]


def swapped(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1]]


def doubled(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1], lines[1], lines[2]]


def beheaded(lines: list[bytes]) -> list[bytes]:
    return lines[1:]


def halved(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1][:40] + b"\n", lines[2]]


def spoilt(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"action":', b'"action"'), lines[2]]


def unsigned(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *(line.partition(b',"mac"')[0] + b"}\n" for line in lines[1:])]


def unsigned_last(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], unsigned(lines)[2]]


def unsigned_and_unended(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], unsigned(lines)[2].rstrip(b"\n")]


def misnamed(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b'"mac"', b'"mbc"').rstrip(b"\n")]


def halved_last(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2][:40] + b"\n"]


def of_another_number(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b":3,", b":4,")[:60]]


def after_another(lines: list[bytes]) -> list[bytes]:
    start, name, rest = lines[2].partition(b'"previous":"')
    return [*lines[:2], start + name + b"0" * 64 + rest[64:-10]]


def with_rubbish(lines: list[bytes]) -> list[bytes]:
    return [*lines, b"x" * 100_000]


def with_bytes(lines: list[bytes]) -> list[bytes]:
    return [*lines, b"\xff\x00\x80"]


def going_on_with_rubbish(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].partition(b'"action"')[0] + b"x" * 100_000]


def with_empty_lines(lines: list[bytes]) -> list[bytes]:
    return [*lines, b"\n\n"]


@pytest.mark.parametrize(
    ("fault", "line", "why"),
    [
        (changed, 2, "its MAC is wrong"),
        (removed, 2, "it is record 3, where 2 was to come"),
        (swapped, 2, "it is record 3, where 2 was to come"),
        (doubled, 3, "it is record 2, where 3 was to come"),
        (beheaded, 1, "it is record 2, where 1 was to come"),
        (halved, 2, "it is no record"),
        (spoilt, 2, "it is no record"),
        (unsigned, 2, "it is no record"),
        (unsigned_last, 3, "it is no record"),
        (unsigned_and_unended, 3, "it is no record"),
        (misnamed, 3, "it is no record"),
        (halved_last, 3, "it is no record"),
        (of_another_number, 3, "it is no record"),
        (after_another, 3, "it is no record"),
        (with_rubbish, 4, "it is no record"),
        (with_bytes, 4, "it is no record"),
        (going_on_with_rubbish, 3, "it is no record"),
        (with_empty_lines, 4, "it is no record"),
    ],
)
def test_the_line_at_which_a_tampered_chain_breaks_is_told(
    chain: Chain, fault: Callable[[list[bytes]], list[bytes]], line: int, why: str
) -> None:
    chain.path.write_bytes(b"".join(fault(filled(chain))))
    first = chain.read().breaks[0]
    assert (first.line, first.why[: len(why)]) == (line, why)
    chain.append({"action": "later"})  # no record of ours covers it up
    assert chain.read().breaks[0] == first


def test_a_chain_of_another_key_is_told_though_its_hashes_fit(chain: Chain, tmp_path: Path) -> None:
    filled(chain)
    other = Chain(tmp_path / "other" / "record.jsonl", tmp_path / "other" / "key")
    filled(other)
    chain.path.write_bytes(other.path.read_bytes())
    assert "by another key" in chain.read().breaks[0].why


@pytest.mark.parametrize("cut", [1, 2, 30, -3, -2, -1])
def test_a_line_that_a_power_cut_tore_is_told_and_closed_by_the_next_record(chain: Chain, cut: int) -> None:
    lines = filled(chain)
    torn = lines[2][:cut] if cut > 0 else lines[2][: cut - 1] if cut < -1 else lines[2][:-1]
    chain.path.write_bytes(b"".join(lines[:2]) + torn)
    reading = chain.read()
    assert reading.breaks == ()
    whole = cut == -1  # all of it is there but its end of line
    assert reading.torn == (b"" if whole else torn)
    chain.append({"action": "later"})
    reading = chain.read()
    assert (reading.breaks, reading.torn) == ((), b"")
    actions = [r.content["action"] for r in reading.records]
    assert actions == ["step 0", "step 1", "step 2" if whole else CLOSED, "later"]


def test_a_line_may_be_torn_at_any_byte_of_it(chain: Chain) -> None:
    lines = filled(chain)
    for cut in range(1, len(lines[2]) - 1):
        chain.path.write_bytes(b"".join(lines[:2]) + lines[2][:cut])
        assert chain.read().breaks == (), cut
        assert chain.read().torn == lines[2][:cut]


def test_what_was_torn_is_kept_in_the_record_that_takes_its_place(chain: Chain) -> None:
    lines = filled(chain)
    torn = lines[2][:30]
    chain.path.write_bytes(b"".join(lines[:2]) + torn)
    chain.append({"action": "later"})
    closed = chain.read().records[2].content
    assert (closed["action"], closed["bytes"], closed["text"]) == (CLOSED, 30, torn.decode())
    assert closed["sha256"] == hashlib.sha256(torn).hexdigest()


def test_a_closing_that_was_torn_itself_is_closed_in_its_turn(chain: Chain) -> None:
    lines = filled(chain)
    kept = b"".join(lines[:2])
    chain.path.write_bytes(kept + lines[2][:30])
    chain.append({"action": "later"})
    data = chain.path.read_bytes()
    for cut in (0, 1, 2, 60):
        chain.path.write_bytes(data[: len(kept) + cut])
        assert chain.read().breaks == ()
        chain.append({"action": "at last"})
        reading = chain.read()
        assert (reading.breaks, reading.torn) == ((), b"")
        assert [r.content["action"] for r in reading.records][2:] == [*([CLOSED] if cut else []), "at last"]


def test_zeros_that_a_power_cut_left_at_the_end_are_torn_and_not_tampered(chain: Chain) -> None:
    filled(chain)
    with chain.path.open("ab") as file:
        file.write(bytes(300))
    assert (chain.read().breaks, len(chain.read().torn)) == ((), 300)
    chain.append({"action": "later"})
    assert chain.read().breaks == ()


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


def test_many_writers_at_once_make_one_chain(chain: Chain) -> None:
    with ThreadPoolExecutor(8) as pool:
        heads = list(pool.map(lambda n: chain.append({"action": f"step {n}"}), range(40)))
    reading = chain.read()
    assert reading.breaks == ()
    assert sorted(h.sequence for h in heads) == list(range(1, 41))


def test_a_lost_key_is_replaced_by_one_that_says_so_and_the_old_records_do_not_pass(chain: Chain) -> None:
    filled(chain)
    (chain.path.parent / "key").unlink()
    assert "by another key" in chain.read().breaks[0].why
    chain.append({"action": "later"})
    reading = chain.read()
    assert [r.content["action"] for r in reading.records][3:] == [KEY_MADE, "later"]
    assert [b.line for b in reading.breaks] == [1, 2, 3]


def test_a_key_that_is_none_is_not_silently_replaced(chain: Chain) -> None:
    filled(chain)
    (chain.path.parent / "key").write_text("00")
    with pytest.raises(OpsError, match="holds no key"):
        chain.append({"action": "later"})


def test_a_link_in_its_place_is_not_followed(chain: Chain, tmp_path: Path) -> None:
    chain.path.parent.mkdir()
    target = tmp_path / "target"
    target.write_text("mine\n")
    chain.path.symlink_to(target)
    with pytest.raises(OpsError):
        chain.append({"action": "later"})
    assert target.read_text() == "mine\n"


@pytest.mark.parametrize("name", ["record.jsonl", "key"])
def test_a_pipe_in_its_place_is_refused_and_not_waited_for(chain: Chain, name: str) -> None:
    filled(chain)
    path = chain.path.with_name(name)
    path.unlink()
    os.mkfifo(path)
    writer = threading.Timer(10, lambda: os.close(os.open(path, os.O_RDWR)))
    writer.start()
    started = time.monotonic()
    with pytest.raises(OpsError, match="is no regular file"):
        chain.read()
    assert time.monotonic() - started < 5
    writer.cancel()
    with pytest.raises(OpsError, match="is no regular file"):
        chain.append({"action": "later"})
