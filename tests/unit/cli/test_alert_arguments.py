"""What `techsapo alerts silence` and `ack` refuse: too short a time, and the alert that always fires."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes.open_stacks import open_stack
from monitoring_stack import spec_of, topology_of
from rows import each_row

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.cli.options import SpecChoice
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.watch import alerts
from techsapo_ops.errors import OpsError

SPEC = {"project": "t"}


@pytest.fixture(autouse=True)
def nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: Any) -> None:
        raise AssertionError("a server was asked")

    for server, method in ((Alertmanager, "silence"), (Alertmanager, "silences"), (Prometheus, "alerts")):
        monkeypatch.setattr(server, method, asked)
    monkeypatch.setattr(Prometheus, "query", lambda *_: ())
    stack = open_stack(topology_of(spec_of(SPEC), tmp_path))
    for module in ("alerts", "alerts_ack"):
        monkeypatch.setattr(f"techsapo_ops.cli.watch.{module}.open_stack", lambda _: stack)
    (tmp_path / "techsapo.yaml").write_text("project: t\n")
    monkeypatch.chdir(tmp_path)


def silence(*words: Any, matcher: list[str] | None = None, duration: str = "1h") -> None:
    place = SpecChoice(Path("techsapo.yaml"))
    alerts.silence(*words, matcher=matcher, duration=duration, comment="why", place=place, out=Output())


@each_row(
    "name, matcher, said, hint",
    [
        ("Watchdog", [], "Watchdog can't be silenced", "pause the check at the external watcher"),
        (
            None,
            ["alertname=Watchdog"],
            "Watchdog can't be silenced",
            "pause the check at the external watcher",
        ),
        (None, ["severity=info"], "this silence would also silence Watchdog", "alertname!=Watchdog"),
        (None, ["severity=~.*"], "this silence would also silence Watchdog", "alertname!=Watchdog"),
    ],
)
def test_a_silence_that_mutes_the_watchdog_is_refused(
    name: str | None, matcher: list[str], said: str, hint: str
) -> None:
    with pytest.raises(OpsError) as refused:
        silence(name, matcher=matcher)
    assert refused.value.message.startswith(said)
    assert "the outside monitor reports this stack as down" in refused.value.message
    assert hint in (refused.value.hint or "")
    assert refused.value.exit_code == 2


@each_row("matcher", [["severity=info", "alertname!=Watchdog"], ["instance=app-2"]])
def test_any_other_silence_is_sent(matcher: list[str]) -> None:
    with pytest.raises(AssertionError, match="a server was asked"):
        silence(None, matcher=matcher)


@each_row("command", ["silence", "ack"])
@each_row("duration", ["0s", "1s", "59s"])
def test_a_time_too_short_to_matter_is_refused_in_words_before_anybody_is_asked(
    command: str, duration: str
) -> None:
    place = SpecChoice(Path("techsapo.yaml"))
    calls = {
        "silence": lambda: silence("MemoryHigh", duration=duration),
        "ack": lambda: alerts.ack("AppDown", duration=duration, place=place, out=Output()),
    }
    with pytest.raises(OpsError, match="--for must be at least 60 s") as refused:
        calls[command]()
    assert refused.value.exit_code == 2


def test_nobody_has_to_have_the_watchdog() -> None:
    place = SpecChoice(Path("techsapo.yaml"))
    with pytest.raises(OpsError, match="Watchdog always fires"):
        alerts.ack("Watchdog", place=place, out=Output())
