"""Logs as evidence: files of any size, links that are not followed, what Loki and journalctl answer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fakes.http_server import Asked, answering
from rows import each_row

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.material import Line, Subject
from techsapo_ops.incidents.readers import files
from techsapo_ops.incidents.readers.files import LogFiles, open_log
from techsapo_ops.incidents.readers.journald import Journal
from techsapo_ops.incidents.readers.lines import MOST_LINES, Window, lines_of, said_in
from techsapo_ops.incidents.readers.loki import Loki

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
START, END = NOON - 30 * MINUTE, NOON + 30 * MINUTE
SUBJECT = Subject(NOON, alert="ShopDown")


def at(minutes: float) -> str:
    return (NOON + minutes * MINUTE).isoformat()


def read(pattern: Path, service: str = "shop") -> tuple[Line, ...]:
    return LogFiles(str(pattern), service)(SUBJECT, START, END).lines


def texts(lines: tuple[Line, ...]) -> list[str]:
    return [line.text.split()[-1] for line in lines]


def test_only_warnings_and_worse_of_the_window_are_lines_and_a_traceback_goes_with_its_error(
    tmp_path: Path,
) -> None:
    log = tmp_path / "shop.log"
    log.write_text(
        f"{at(-40)} ERROR early\n{at(-1)} INFO quiet\n  of-it\n{at(0)} ERROR failed\n  Traceback\n"
        f"{at(1)} says-no-level\n{at(2)} WARN slow\n{at(40)} ERROR late\n"
    )
    lines = read(log)
    assert texts(lines) == ["failed", "Traceback", "says-no-level", "slow"]
    assert [line.level for line in lines] == ["error", "error", "", "warning"]
    assert {line.service for line in lines} == {"shop"}


def test_control_characters_of_a_log_are_no_orders_for_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "shop.log").write_bytes(f"{at(0)} ERROR \x1b[2Jgone \xff".encode("latin-1"))
    assert "\x1b" not in read(tmp_path / "shop.log")[0].text


def test_the_window_of_a_large_file_is_found_without_reading_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "shop.log"
    with log.open("w") as file:
        for second in range(-15_000, 15_000):
            file.write(f"{(NOON + timedelta(seconds=second)).isoformat()} ERROR {second}\n")
    wanted = [str(second) for second in range(-1800, 1801)]
    assert texts(read(log)) == wanted
    counted = 0
    reading = files._texts

    def count(*arguments: Any) -> Iterator[str]:
        nonlocal counted
        for text in reading(*arguments):
            counted += len(text)
            yield text

    monkeypatch.setattr(files, "_texts", count)
    assert texts(read(log)) == wanted
    assert counted < log.stat().st_size / 3


def test_of_a_window_that_is_too_large_what_is_nearest_to_the_beginning_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 20_000)
    log = tmp_path / "shop.log"
    lines = (f"{(NOON + timedelta(seconds=s)).isoformat()} ERROR {s}\n" for s in range(-1800, 1800))
    log.write_text("".join(lines))
    numbers = [int(text) for text in texts(read(log))]
    assert min(numbers) < 0 < max(numbers)
    assert len(numbers) < 700


def test_what_was_rotated_away_within_the_window_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "shop.log").write_text(f"{at(1)} ERROR new\n")
    (tmp_path / "shop.log.1").write_text(f"{at(-1)} ERROR old\n")
    assert texts(read(tmp_path / "*.log")) == ["old", "new"]


def test_a_file_without_times_is_as_of_when_it_was_written_to_last(tmp_path: Path) -> None:
    log = tmp_path / "shop.log"
    log.write_text("panic: out of memory\n")
    os.utime(log, (NOON.timestamp(), NOON.timestamp()))
    assert [line.at for line in read(log)] == [NOON]
    os.utime(log, (END.timestamp() + 60, END.timestamp() + 60))
    assert read(log) == ()


def test_without_a_file_and_without_the_right_to_read_it_the_reason_is_said(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="there is no file"):
        read(tmp_path / "*.log")
    (tmp_path / "fifo.log").symlink_to("/dev/null")
    with pytest.raises(OpsError, match="not a regular file"):
        read(tmp_path / "fifo.log")
    os.mkfifo(tmp_path / "pipe.log")
    with pytest.raises(OpsError, match="not a regular file"):
        LogFiles(str(tmp_path / "pipe.log")).readable()


def test_a_link_of_this_user_is_followed_also_by_way_of_a_folder_above(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "shop.log").write_text(f"{at(0)} ERROR there\n")
    (tmp_path / "logs").symlink_to("disk/../disk")
    assert texts(read(tmp_path / "logs" / "shop.log")) == ["there"]
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="Too many levels"):
        open_log(tmp_path / "loop" / "shop.log")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a link to another user")
@each_row("link", ["shop.log", "folder"])
def test_a_link_of_another_user_is_not_followed(tmp_path: Path, link: str) -> None:
    (tmp_path / "secret").mkdir(exist_ok=True)
    (tmp_path / "secret" / "shop.log").write_text(f"{at(0)} ERROR secret\n")
    target = "secret/shop.log" if link == "shop.log" else "secret"
    (tmp_path / link).symlink_to(target)
    os.chown(tmp_path / link, 12345, 12345, follow_symlinks=False)
    with pytest.raises(OpsError, match="another user"):
        read(tmp_path / link if link == "shop.log" else tmp_path / link / "shop.log")


def test_of_too_many_lines_the_errors_stay() -> None:
    window = Window(START, END, NOON)
    many = [(NOON, f"{n} slow", "warn") for n in range(MOST_LINES)]
    chosen = lines_of([*many, (END, "failed", "error")], window)  # type: ignore[list-item]
    assert len(chosen) == MOST_LINES
    assert chosen[-1].text == "failed"


@each_row(
    "line, said",
    [
        (
            '{"level": "error", "message": "Redis refuses", "error": "OOM", "instance": "app"}',
            "Redis refuses: OOM",
        ),
        ('{"level": "error", "code": 5}', '{"level": "error", "code": 5}'),
        (
            'ts=1 caller=x.go:1 level=error msg="write \\"wal\\"" err="no space left"',
            'write "wal": no space left',
        ),
        ("time=1 level=error msg=failed", "failed"),
        ('GET /?level=high msg="no"', 'GET /?level=high msg="no"'),
    ],
)
def test_of_a_structured_line_what_it_says_is_evidence(line: str, said: str) -> None:
    assert said_in(line) == said


def loki(asked: Asked) -> tuple[int, bytes]:
    """Loki, as strict as the real one: times are nanoseconds, a limit beyond its own is refused.

    https://grafana.com/docs/loki/latest/reference/loki-http-api/ (read 2026-12-02)
    """
    url, query = urlsplit(asked.path), {k: v[0] for k, v in parse_qs(urlsplit(asked.path).query).items()}
    if url.path != "/loki/api/v1/query_range":
        return 404, b"404 page not found"
    start, end = int(query["start"]), int(query["end"])
    if int(query["limit"]) > 5000:
        return 400, b"max entries limit per query exceeded, limit > max_entries_limit (6000 > 5000)"
    if not query["query"].startswith("{"):
        return 400, b"parse error at line 1, col 1: syntax error: unexpected IDENTIFIER"
    if query["query"].startswith("{}"):
        return 200, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": []}}).encode()
    moments = [int(NOON.timestamp() * 1e9) + n * 10**9 for n in (2, 1)]
    streams = [
        {
            "stream": {"app": "shop", "detected_level": level},
            "values": [
                [str(moment), f"{level} {n}"] for n, moment in enumerate(moments) if start <= moment <= end
            ],
        }
        for level in ("info", "error")
    ]
    return 200, json.dumps(
        {"status": "success", "data": {"resultType": "streams", "result": streams}}
    ).encode()


def test_lokis_streams_are_lines_in_their_order_by_the_level_of_their_labels() -> None:
    with answering(loki) as server:
        lines = Loki(server.url, '{app="shop"}', "shop")(SUBJECT, START, END).lines
        Loki(server.url, '{app="shop"}').readable()
    assert [line.text for line in lines] == ["error 1", "error 0"]
    assert lines[0].at == NOON + timedelta(seconds=1)


@each_row(
    "query, said", [("shop", "HTTP 400: parse error at line 1"), ("{}", "returns no log lines but a matrix")]
)
def test_what_loki_says_to_a_wrong_query_is_the_reason(query: str, said: str) -> None:
    with answering(loki) as server, pytest.raises(OpsError, match=said):
        Loki(server.url, query).readable()


class Journalctl:
    """journalctl and systemctl, with what they print."""

    def __init__(self, **said: tuple[int, str, str]) -> None:
        self.said = said

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        assert timeout < 5
        code, out, err = self.said.get(command.argv[0], (0, "", ""))
        if "--quiet" not in command.argv or code:
            return Completed(command, code, out.encode(), err.encode())
        return Completed(command, code, out.encode(), b"")


HINT = "Hint: You are currently not seeing messages from other users and the system.\n-- No entries --"


@each_row(
    "said, told",
    [
        ({"systemctl": (0, "LoadState=not-found\n", "")}, "there is no unit shop.service"),
        ({"journalctl": (0, "", HINT)}, "may not read the journal of shop.service"),
        (
            {"journalctl": (0, "", "No journal files were found.\n-- No entries --")},
            "this host has no journal",
        ),
        ({"journalctl": (1, "", "Failed to parse timestamp: @x\n")}, "Failed to parse timestamp: @x"),
    ],
)
def test_why_a_journal_can_not_be_read_is_said(said: dict[str, tuple[int, str, str]], told: str) -> None:
    with pytest.raises(OpsError, match=told):
        Journal("shop.service", Journalctl(**said))(SUBJECT, START, END)


def test_a_folder_that_a_pattern_matches_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "old.log").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="regular file"):
        open_log(tmp_path / "old.log")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
