"""What `make swarm-lab` measures with: requests, answers, figures, and the page that has them."""

from __future__ import annotations

import json
from pathlib import Path

from rows import each_row

from techsapo_ops.stores.app_key import DRILL_HEADER, DrillSeal
from tests.swarm.figures import WHERE, Figure, Figures, page
from tests.swarm.load import Load, request_bytes, told


def answer(body: str, *headers: str, status: int = 200) -> bytes:
    head = [
        f"HTTP/1.1 {status} OK",
        f"Content-Length: {len(body)}",
        "Content-Type: application/json",
        *headers,
    ]
    return ("\r\n".join([*head, "", ""]) + body).encode()


def test_a_post_carries_its_id_twice_and_the_proof_of_a_drill() -> None:
    load = Load("http://10.77.0.100", key="k" * 32, body='{"seconds": 0, "word": "{id}"}')
    head, _, body = request_bytes(load, 0, "load-000000").partition(b"\r\n\r\n")
    lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert (lines["X-Request-ID"], lines["Idempotency-Key"]) == ("load-000000", "load-000000")
    assert lines["Host"] == "10.77.0.100"
    assert json.loads(body)["word"] == "load-000000"
    assert DrillSeal(b"k" * 32).holds(lines[DRILL_HEADER], "POST", load.path, "load-000000", body)


def test_an_answer_in_chunks_is_put_together() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert told(head + b'5\r\n{"ins\r\n10\r\ntance": "app-1"}\r\n0\r\n\r\n')["instance"] == "app-1"


@each_row(
    "raw, reason",
    [
        (b"", "closed without a word"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "broken off"),
        (answer('{"instance": "app-1"}')[:-3], "broken off"),
        (answer("[", status=200), "broken off"),
        (answer("{}", status=503), "HTTP 503"),
    ],
)
def test_what_is_no_answer_has_a_reason(raw: bytes, reason: str) -> None:
    assert told(raw)["reason"] == reason


def test_a_figure_holds_where_the_worst_value_does() -> None:
    assert Figure("gap", "s", (1.0, 2.0, 1.5), most=2.0).ok
    late = Figure("gap", "s", (1.0, 2.1, 1.0), most=2.0)
    assert not late.ok
    assert late.row() == "| gap | s | 3 | 1 | 2.10 | ≤ 2 | **NO** |"


def test_the_page_has_each_proof_as_it_went_the_last_time_and_says_where_it_was(tmp_path: Path) -> None:
    first, second = Figures("redis", "Redis"), Figures("front", "Front")
    first.add("gap", "s", [9.0], most=5.0)
    first.write(tmp_path)
    first = Figures("redis", "Redis", problems=["a key is gone"])
    first.add("gap", "s", [3.0], most=5.0)
    second.add("lost", "requests", [0, 0], most=0)
    for each in (first, second):
        each.write(tmp_path)

    text = page(tmp_path).read_text("utf-8")

    assert Figures.read(tmp_path / "redis.json") == first
    assert not first.ok
    assert second.ok
    assert WHERE in text
    assert text.index("## Front") < text.index("## Redis")
    assert "| gap | s | 1 | 3 | 3 | ≤ 5 | yes |" in text
    assert "PROBLEM: a key is gone" in text
    assert "9" not in text.partition("## Redis")[2].partition("| gap")[2]
