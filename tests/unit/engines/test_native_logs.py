"""Lines of log files and of containers: times, merging, rotation and following."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rows import each_row

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.log_lines import line_time
from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.engines.containers import logs
from techsapo_ops.engines.containers.logs import line_of
from techsapo_ops.engines.native import housekeeping
from techsapo_ops.engines.native.logs import Follower, exits, exits_after, loops, read, rotated

CASES: list[dict[str, Any]] = read_yaml(
    (Path(__file__).parents[2] / "cases" / "log_times.yaml").read_text(encoding="utf-8")
)


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("utc")
@each_row("case", CASES, ids=[c["line"][:30] or "empty" for c in CASES])
def test_the_time_of_a_line_is_read_from_the_line(case: dict[str, Any]) -> None:
    found = line_time(case["line"])
    assert (found.astimezone(UTC).isoformat() if found else None) == case["time"]


@each_row("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
@each_row(
    "line",
    [
        '{"timestamp":"0001-01-01T00:00:00+14:00","message":"early"}', "0001-01-01T00:00:00Z early",
        "0001-01-01 00:00:00 early", "9999-12-31T23:59:59-14:00 late", "9999-12-31T23:59:59Z late",
        "9999-12-31 23:59:59 late", "0000-00-00 00:00:00 never",
    ],
)  # fmt: skip
def test_a_time_that_some_zone_does_not_have_is_none_so_that_no_line_ends_the_others(
    monkeypatch: pytest.MonkeyPatch, utc: None, zone: str, line: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    assert line_time(line) is None
    for year in (2, 9998):
        found = line_time(f"{year:04}-01-01T00:00:00+14:00")
        assert found is not None
        assert found.astimezone().utcoffset() is not None


def write(path: Path, *lines: str) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def test_lines_of_several_services_are_merged_by_time_and_a_traceback_stays_together(tmp_path: Path) -> None:
    failed = ("2026-01-01T00:00:01Z failed", "  Traceback", "  ValueError")
    write(tmp_path / "app.log", *failed, "2026-01-01T00:00:04Z ok")
    write(tmp_path / "redis.log", "2026-01-01T00:00:00Z up", "2026-01-01T00:00:02Z busy")

    def words(lines: int | None, since: datetime | None = None) -> str:
        found = read(tmp_path, ["app", "redis"], lines=lines, since=since)
        return " ".join(line.text.split()[-1] for line in found)

    assert words(None) == "up failed Traceback ValueError busy ok"
    assert words(2) == "busy ok"
    since = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert words(None, since) == "failed Traceback ValueError busy ok"


def test_rotated_and_compressed_files_come_before_the_present_one(tmp_path: Path) -> None:
    write(tmp_path / "app.log", "five", "six")
    write(tmp_path / "app.log.1", "three", "four")
    with gzip.open(tmp_path / "app.log.2.gz", "wt", encoding="utf-8") as packed:
        packed.write("one\ntwo\n")
    write(tmp_path / "app.log.bak", "a stranger")
    assert [p.name for p in rotated(tmp_path / "app.log")] == ["app.log.1", "app.log.2.gz"]
    words = [line.text for line in read(tmp_path, ["app"], lines=None, since=None)]
    assert words == ["one", "two", "three", "four", "five", "six"]
    assert [line.text for line in read(tmp_path, ["app"], lines=3, since=None)] == ["four", "five", "six"]


def test_a_large_file_is_read_from_its_end(tmp_path: Path) -> None:
    write(tmp_path / "app.log", *(f"行 {n}" for n in range(50_000)))
    assert [line.text for line in read(tmp_path, ["app"], lines=2, since=None)] == ["行 49998", "行 49999"]
    assert len(read(tmp_path, ["app"], lines=20_000, since=None)) == 20_000


def test_a_follower_sees_new_lines_whole_and_goes_on_over_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, "old")
    follower = Follower(log, "app")
    with log.open("a") as file:
        file.write("first\nhal")
    assert [line.text for line in follower.lines()] == ["first"]
    with log.open("a") as file:
        file.write("f\n")
    log.rename(tmp_path / "app.log.1")
    assert [line.text for line in follower.lines()] == ["half"]
    write(log, "after")
    assert [line.text for line in follower.lines()] == ["after"]
    follower.close()


def test_rotation_keeps_the_wanted_number_compressed_and_drops_the_oldest(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    for n in range(5):
        write(log, f"generation {n}")
        housekeeping.rotate(log, keep=3, compress=True, reopen=log.touch)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "app.log", "app.log.1.gz", "app.log.2.gz", "app.log.3.gz",
    ]  # fmt: skip
    assert [line.text for line in read(tmp_path, ["app"], lines=None, since=None)] == [
        "generation 2", "generation 3", "generation 4",
    ]  # fmt: skip


def test_without_compression_and_without_an_answering_writer_files_stay_plain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "_REOPEN_SECONDS", 0.0)
    log = tmp_path / "app.log"
    write(log, "one")
    housekeeping.rotate(log, keep=3, compress=True, reopen=lambda: None)
    assert (tmp_path / "app.log.1").read_text() == "one\n"
    write(log, "two")
    housekeeping.rotate(log, keep=3, compress=False, reopen=log.touch)
    assert [line.text for line in read(tmp_path, ["app"], lines=None, since=None)] == ["one", "two"]


def test_only_logs_over_the_size_are_rotated(tmp_path: Path) -> None:
    write(tmp_path / "big.log", "x" * 100)
    write(tmp_path / "small.log", "x")
    told: list[bool] = []

    def reopen() -> None:
        told.append(True)
        (tmp_path / "big.log").touch()

    done = housekeeping.sweep(tmp_path, max_bytes=50, keep=2, compress=True, reopen=reopen)
    assert [p.name for p in done] == ["big.log"]
    assert told == [True]
    assert (tmp_path / "small.log").read_text() == "x\n"


def test_exits_are_counted_from_the_last_stop_and_a_loop_is_three_within_a_minute(tmp_path: Path) -> None:
    log = tmp_path / "supervisord.log"
    write(
        log,
        "2026-01-01 00:00:00,000 INFO supervisord started with pid 1",
        "2026-01-01 00:00:01,000 WARN exited: redis (exit status 1; not expected)",
        "2026-01-01 00:00:02,000 INFO stopped: redis (exit status 0)",
        "2026-01-01 00:00:03,000 WARN exited: redis (terminated by SIGKILL; not expected)",
        "2026-01-01 00:00:04,500 WARN exited: app (exit status 1; not expected)",
        "2026-01-01 00:00:05,000 WARN exited: app (exit status 1; not expected)",
        "2026-01-01 00:00:06,000 WARN exited: app (exit status 1; not expected)",
        "a line of another shape",
    )
    found = exits(log)
    assert {name: len(times) for name, times in found.items()} == {"redis": 1, "app": 3}
    now = datetime(2026, 1, 1, 0, 0, 30)
    assert loops(found["app"], now)
    assert not loops(found["redis"], now)
    assert not loops(found["app"], now + timedelta(minutes=2))
    assert len(exits_after(found["app"], found["app"][1].timestamp())) == 2
    assert exits(tmp_path / "missing.log") == {}
    with log.open("a") as file:
        file.write("2026-01-01 00:01:00,000 INFO supervisord started with pid 2\n")
    assert exits(log) == {}


def test_nothing_but_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    """A client's own text stands in nginx's lines as it came: what it holds must not begin a line."""
    forged = [
        f'{{"uri": "/{end}2026-01-31T12:00:00Z forged"}}' for end in ("\u2028", "\x85", "\x0b", "\x0c", "\r")
    ]
    write(tmp_path / "nginx.log", *forged)
    assert [line.text for line in read(tmp_path, ["nginx"], lines=None, since=None)] == forged
    with gzip.open(tmp_path / "nginx.log.1.gz", "wb") as packed:
        packed.write((tmp_path / "nginx.log").read_bytes())
    assert [line.text for line in read(tmp_path, ["nginx"], lines=None, since=None)] == forged * 2


def test_a_line_of_many_blocks_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b"before\n" + b"x" * 8_000_000 + b"\nafter\r\n")
    found = read(tmp_path, ["app"], lines=2, since=None)
    assert [len(line.text) for line in found] == [8_000_000, 5]


def test_a_line_without_an_end_is_not_kept_for_ever_while_it_is_followed(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("")
    follower = Follower(log, "app")
    with log.open("ab") as writing:
        for _ in range(5):
            writing.write(b"x" * 1_000_000)
            writing.flush()
            found = follower.lines()
        assert [len(line.text) for line in found] == [5_000_000]
        writing.write(b"rest\nnext\n")
        writing.flush()
        assert [line.text for line in follower.lines()] == ["rest", "next"]
    follower.close()


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


class Writing(Docker):
    """A docker client by whose `logs` each container has the lines of `wrote`; it counts who was followed."""

    def __init__(self, wrote: dict[str, list[str]]) -> None:
        super().__init__(cast(Runner, None))
        self.wrote, self.followed = wrote, list[str]()

    def streaming(self, *arguments: str) -> Command:
        """What prints them, and ends as the container does."""
        self.followed.append(arguments[-1])
        return Command(("printf", "%s\n", *self.wrote[arguments[-1]]))


def test_the_container_that_takes_another_ones_place_is_followed_and_no_line_comes_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "_AGAIN_SECONDS", 0.01)
    later = datetime.now(UTC) + timedelta(minutes=1)
    a, b, c = (f"{later + timedelta(seconds=n):%Y-%m-%dT%H:%M:%S.%f}Z {name}" for n, name in enumerate("abc"))
    docker = Writing({"first": [a, b], "second": [b, c]})

    def there() -> Iterator[dict[str, ContainerFacts]]:
        """It runs, has ended for a while, and has a successor."""
        for name, running in (("first", True), *[("first", False)] * 3, ("second", True)):
            yield {"redis": cast(ContainerFacts, SimpleNamespace(id=name, running=running))}
        while True:
            yield {}

    looks = there()
    found = logs.lines(docker, lambda: next(looks), ["redis"], follow=True, lines=0, since=None)
    assert [next(found).text for _ in range(3)] == ["a", "b", "c"]
    assert docker.followed == ["first", "second"], "what has ended is not read again and again"
