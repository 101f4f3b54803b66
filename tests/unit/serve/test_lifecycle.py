"""How an instance starts and ends: what was started is undone, the last first, whatever fails meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from instances import within
from orchestrator import make_app
from servers import free_port
from structlog.testing import capture_logs

from techsapo_ops.serve.app import App
from techsapo_ops.serve.instance import CleanUps
from techsapo_ops.stores.cache import AnswerCache


def step(done: list[str], name: str) -> Callable[[], None]:
    return lambda: done.append(name)


def broken() -> None:
    raise OSError("the disk is gone")


def steps_of(app: App) -> list[str]:
    return [name for name, _ in app._clean_ups._steps]


async def test_what_was_started_last_is_undone_first_and_once_and_a_step_that_fails_is_logged() -> None:
    done: list[str] = []
    with capture_logs() as logs:
        clean_ups = CleanUps()
        clean_ups.add("first", step(done, "first"))
        clean_ups.add("audit log", broken)
        clean_ups.add("third", step(done, "third"))
        await clean_ups.run()
        await clean_ups.run()
    assert done == ["third", "first"]
    (line,) = logs
    assert (line["event"], line["step"]) == ("A clean-up step failed; the other steps continue", "audit log")


async def test_a_background_task_that_fails_is_logged_at_once_by_its_name() -> None:
    async def fails() -> None:
        raise OSError("no answer")

    with capture_logs() as logs:
        clean_ups = CleanUps()
        clean_ups.start_task("budgets", fails())
        for _ in range(3):  # its start, its end, and what hears of that
            await asyncio.sleep(0)
        assert [(line["task"], line["log_level"]) for line in logs] == [("budgets", "error")]
        await clean_ups.run()
    assert len(logs) == 1


async def test_an_app_stops_what_it_started_in_the_order_that_loses_no_audit_row(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    await app.start()
    names = steps_of(app)
    assert app.audit.alive
    await app.stop()
    assert not app.audit.alive
    log = names.index("audit log")
    writers, others = names[log + 1 :], names[:log]
    assert "requests that were cut off" in writers, "they write their rows before the log is closed"
    assert "metrics stream" in writers
    assert {"providers", "answer cache", "locks"} <= set(others)


def test_where_a_step_of_the_start_fails_those_before_it_are_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(tmp_path)
    closed: list[str] = []

    async def close(provider: object) -> None:
        closed.append(provider.name)

    monkeypatch.setattr(app.audit, "start", broken)
    monkeypatch.setattr(type(app.registry.usable[0]), "close", close)
    with pytest.raises(OSError, match="the disk is gone"):
        asyncio.run(app.start())
    assert sorted(closed) == ["sim-a", "sim-b", "sim-c"]
    assert steps_of(app) == []


def test_a_provider_that_cannot_be_closed_is_told_and_the_rest_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(tmp_path)

    async def close(provider: object) -> None:
        if provider is app.registry.usable[0]:
            raise OSError("no route")

    monkeypatch.setattr(type(app.registry.usable[0]), "close", close)
    within(app, lambda client: client.get("/ping"))
    told = [line for line in caplog.records if line.message == "A provider could not be closed"]
    assert [vars(line)["provider"] for line in told] == ["sim-a"]
    assert not app.audit.alive


def test_an_audit_log_that_cannot_be_closed_keeps_no_connection_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(tmp_path, redis={"port": free_port()})
    closed: list[str] = []

    async def close(cache: object) -> None:
        closed.append("cache")

    monkeypatch.setattr(app.audit, "close", broken)
    monkeypatch.setattr(AnswerCache, "close", close)
    within(app, lambda client: client.get("/ping"))
    assert closed == ["cache", "cache"]  # of answers, and of replies
