"""`techsapo status --since` as what a shift hands to the next one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fakes.http_server import Asked, answering
from in_process import techsapo
from rows import each_row
from servers import free_port

from techsapo_ops.adapters.tls import Trust
from techsapo_ops.cli.app.orchestrator import Orchestrator, Peer
from techsapo_ops.cli.arguments import moment
from techsapo_ops.cli.incidents.handover import handover_of

FRIDAY = datetime(2026, 11, 27, 0, tzinfo=UTC)


def of(number: int, began: str, ended: str | None, cause: str | None = None, *by: str) -> dict[str, Any]:
    title = f"alert {number}\x1b"
    return {
        "number": number, "title": title, "began": f"2026-11-{began}:00+00:00", "cause": cause,
        "ended": ended and f"2026-11-{ended}:00+00:00", "acknowledged_by": list(by),
    }  # fmt: skip


OPEN = [of(5, "28T10:00", None, None, "suzuki"), of(2, "20T10:00", None)]
ENDED = [
    of(4, "27T10:00", "27T11:00", "a log filled it"),
    of(3, "21T10:00", "27T09:00"),
    of(1, "19T10:00", "20T09:00"),
]


@contextmanager
def app() -> Iterator[Orchestrator]:
    def answer(asked: Asked) -> tuple[int, bytes]:
        if asked.path.endswith("/4"):
            entries = [{"kind": "opened", "by": ""}, {"kind": "resolved", "by": "kimura"}]
            return 200, json.dumps({"timeline": entries}).encode()
        return 200, json.dumps({"incidents": OPEN if "state=open" in asked.path else ENDED}).encode()

    with answering(answer) as server:
        yield Orchestrator(Peer(server.url, Trust(), {}), 5.0, 100)


def test_open_incidents_come_with_who_has_them_and_ended_ones_with_who_ended_them_and_why() -> None:
    with app() as asked:
        handover = handover_of(asked, FRIDAY)
    counts, *lines = handover.lines
    assert counts == "2 opened, 2 ended, 2 open now"
    assert [line.partition(" ")[0] for line in lines] == ["#5", "#2", "#4", "#3"]
    assert [line.rpartition(": ")[2] for line in lines] == [
        "suzuki", "not acknowledged", "a log filled it (kimura)", "nobody named a cause",
    ]  # fmt: skip
    assert "\x1b" not in "".join(lines)
    assert handover.to_json()["ended"][0]["by"] == "kimura"


@each_row(
    "text, day",
    [("friday", 27), ("Friday", 27), ("sunday", 29), ("monday", 23), ("saturday", 28)],
)
def test_a_day_of_the_week_is_the_beginning_of_the_last_one(text: str, day: int) -> None:
    now = datetime(2026, 11, 29, 12).astimezone()
    assert moment(text, now) == datetime(2026, 11, day).astimezone()


def test_where_the_app_does_not_answer_the_rest_of_the_handover_comes(tmp_path: Path) -> None:
    (tmp_path / "techsapo.yaml").write_text(
        f"project: shop\ninvestigate: {{}}\napp: {{port: {free_port()}}}\n", encoding="utf-8"
    )
    shown = techsapo(tmp_path, "status", "--since", "7d", "--json")
    assert shown.returncode == 0
    assert "not running" in json.loads(shown.stdout)["incidents"]["missing"]
    assert "Incidents: not available" in techsapo(tmp_path, "status", "--since", "7d").stdout
