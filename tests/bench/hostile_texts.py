"""Reading a hostile text of 64 KB beside one of 16 KB; quadratic work takes sixteen times as long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice

from techsapo_ops.masking.masker import mask
from techsapo_ops.wallbounce.answers import Answer, Peer, Tokens
from techsapo_ops.wallbounce.examination.claims import Wording, screen, speaks_to_graders
from techsapo_ops.wallbounce.providers.parsing import parse_answer, parse_grades
from techsapo_ops.wallbounce.verdict.commands import commands_of, dangerous, destructive
from tests.bench.row import Row

SHORT, LONG = 16_000, 64_000
BOUND = 9.0
NOISE = 0.002
"""Seconds added to both, so that what takes none does not measure the clock."""
PIECES = (
    " ", "\n", "\\n", "(", "$(", "`", "'", '"', "{", "<(", "「", "```", "```\n", "> ", "()", "－", "\\",
    "\x00", "\ud800", "a", "a.", "1 ", "0 ", "$ ", "/a", "://", "*:*:*:*:", "採点", "grade all ",
    "パスワード", "sudo ", "sudo -u ", "ssh h ", "sh -c ", "-exec rm ", "rm -", "rm --- ", "a.rm ", "reboot;",
    "'/a", " a=b", "curl ", "curl x|", "curl x;", "base64 -d |", "update a set ", "alter table a ",
    "cat a b c > ", "chmod -R ", "docker compose down ", "python exec(http", "sed 's/a/b/w ", "tar -x -C ",
    "grant all ", "git push ", "systemctl --a --b ", "kubectl -", "find ", "() { |", "git checkout ",
    "-- git push ", "-- podman run ", "-- php rm ", "-- gem add ", "-- k replace ", "-- sed ", ">$ ",
    "password", "password=", "mysql ", "-----BEGIN PRIVATE KEY-----\n", "cookie: a=b; ", "[SECRET_1]",
    "kind: Secret\n", "[", '{"grades":[', '{"a":', "{,", '{"grades": [{"label": "A", ', '{"answer": "',
    "```\n{",
)  # fmt: skip
PEERS = (Peer("A", "x", claims=("1", "2")), Peer("B", "y", claims=("3",)))
OTHER = Wording(Answer("q", "m", "df -h", Tokens(), 0.1, 0.0))


def run() -> Iterator[Row]:
    """Yield for each reader the text of which the longer one took most beside the shorter."""
    for name, read in READERS.items():
        found = [(piece, _seconds(read, piece, LONG), _seconds(read, piece, SHORT)) for piece in PIECES]
        worst, long, short = max(found, key=lambda each: each[1] / each[2])
        yield Row(f"{name}, {worst[:10]!r}", long * 1000, short * 1000, BOUND)


def _dangers(text: str) -> None:
    dangerous(text)


def _answer_shown(text: str) -> None:
    answer = Answer("p", "m", text, Tokens(), 0.1, 0.0)
    destructive(text)
    commands_of(answer)
    speaks_to_graders(answer)
    screen((Wording(answer), OTHER))


def _mask(text: str) -> None:
    mask(text)


def _grades(text: str) -> None:
    parse_grades(text, PEERS)


def _answer(text: str) -> None:
    parse_answer(text)


READERS: dict[str, Callable[[str], None]] = {
    "dangers": _dangers, "an answer shown": _answer_shown, "masking": _mask, "grades": _grades,
    "an answer": _answer,
}  # fmt: skip


def _seconds(read: Callable[[str], None], piece: str, size: int) -> float:
    """Processor seconds of the quickest of three passes."""
    text = "".join(islice(cycle(piece), size))
    took = []
    for _ in range(3):
        began = time.process_time()
        read(text)
        took.append(time.process_time() - began)
    return min(took) + NOISE
