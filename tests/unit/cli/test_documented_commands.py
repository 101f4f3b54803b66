"""Commands that pages of docs/ show are run as they stand there; tests/e2e does so with whole pages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rows import each_row
from typer.testing import CliRunner

from techsapo_ops.adapters.alertmanager import Matcher
from techsapo_ops.cli import alerts_ack
from techsapo_ops.cli.main import app
from techsapo_ops.errors import OpsError
from techsapo_ops.services.alertmanager.acknowledging import Acknowledgement, Claim, Incident

DOCS = Path(__file__).parents[3] / "docs"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = ("alerts.md", "alerts.ja.md")
SECRETS = {"SLACK_URL": "https://hooks.slack.example/s3cret", "WATCHER_URL": "https://hc.example/ping/s3cret"}


def block(page: str, words: str) -> str:
    """The one block of shell in a page of docs/ that has these words."""
    (found,) = (text for text in BLOCK.findall((DOCS / page).read_text(encoding="utf-8")) if words in text)
    return str(found)


def commands(page: str, words: str) -> list[list[str]]:
    """The lines of that block, without the name of the program."""
    lines = [shlex.split(line) for line in block(page, words).splitlines()]
    assert {line[0] for line in lines} == {"techsapo"}
    return [line[1:] for line in lines]


@each_row("page", LANGUAGES)
def test_runbooks_are_shown_where_there_is_no_spec(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands(page, "techsapo alerts runbook AppDown\n"):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        assert "AppDown" in done.output


class Held:
    """Alerts that fire, and who has them."""

    def __init__(self) -> None:
        self.incidents = [
            Incident({"alertname": "AppDown"}, "1795737600"),
            Incident({"alertname": "ProviderDown", "provider": "claude"}, "1795737600"),
        ]
        self.given: list[Acknowledgement] = []

    def firing(self, _: Any, only: Sequence[Matcher]) -> tuple[Incident, ...]:
        found = tuple(i for i in self.incidents if all(m.holds(i.labels) for m in only))
        if not found:
            raise OpsError(f"{only} does not fire")
        return found

    def acknowledge(self, _: Any, wanted: Sequence[Incident], claim: Claim) -> list[Acknowledgement]:
        now = datetime.now(UTC)
        made = [Acknowledgement("id", i, claim.by, now, claim.until, claim.comment) for i in wanted]
        self.given += made
        return made

    def withdraw(self, _: Any, found: Sequence[Acknowledgement]) -> None:
        self.given = [each for each in self.given if each not in found]


@each_row("page", LANGUAGES)
def test_alerts_are_acknowledged_and_given_back(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "techsapo.yaml").write_text("project: lab\n")
    held = Held()
    monkeypatch.setattr(alerts_ack, "alertmanager_in", lambda _: SimpleNamespace())
    monkeypatch.setattr(alerts_ack, "held_now", lambda *_: tuple(held.given))
    for name in ("firing", "acknowledge", "withdraw"):
        monkeypatch.setattr(alerts_ack, name, getattr(held, name))
    first, second, listed, undo = commands(page, "techsapo alerts ack")
    for words in (first, second, listed):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    assert "hanako" in done.output
    has = {each.incident.alert: each for each in held.given}
    assert set(has) == {"AppDown", "ProviderDown"}
    assert has["ProviderDown"].by == "hanako"
    assert has["ProviderDown"].comment
    assert has["ProviderDown"].until - has["ProviderDown"].at < timedelta(hours=2, minutes=1)
    assert CliRunner().invoke(app, undo).exit_code == 0
    assert [each.incident.alert for each in held.given] == ["ProviderDown"]
