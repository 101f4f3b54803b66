"""The message that asks people about answers: at most five links, by the receivers of the weekly report."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import servers
from fakes.debian import Debian
from fakes.notified import notified
from fakes.open_stacks import Seen, open_stack
from monitoring_stack import monitoring_files, spec_of, topology_of, write
from slack import incoming_webhook

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.apply.history import History
from techsapo_ops.jobs.job import JobContext
from techsapo_ops.render.stack import secret_files
from techsapo_ops.stores.audit.spool import AuditRow
from techsapo_ops.stores.audit.store import AuditStore
from techsapo_ops.wallbounce.verdict.record import Member, PanelRecord, dumps
from techsapo_ops.wallbounce.verdict.verdict import Outcome
from techsapo_ops.watch import feedback
from techsapo_ops.watch.alerts import reports

pytestmark = pytest.mark.lab


def answered(folder: Path, count: int) -> None:
    """So many answers of today, and one of last month, in an instance's audit log."""
    panel = PanelRecord(
        "basic", (Member("secret-model", "1", "secret", True),), (), 0, 1.0, 0.9, False, True, 0.8, 0.6, 0.77,
        Outcome.ACCEPTED,
    )  # fmt: skip
    folder.mkdir(parents=True)
    store, now = AuditStore(None, folder / "audit.sqlite"), datetime.now(UTC)
    times = [now - timedelta(minutes=n) for n in range(count)] + [now - timedelta(days=30)]
    store.insert([
        AuditRow(
            uuid.uuid4().hex, time, "app-1", f"req-{n}", prompt_hash=f"k1.{n}", panel=dumps(panel),
            prompt="a secret question",
        )
        for n, time in enumerate(times)
    ])  # fmt: skip
    store.close()


def test_slack_gets_five_links_and_neither_question_nor_model_nor_confidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with incoming_webhook() as channel:
        notifications = notified({"info": [{"kind": "slack", "url": channel.url}]})
        spec = spec_of({
            "project": "shop", "locale": "ja", "notifications": notifications,
            "app": {"public_url": "https://techsapo.example.com"},
            "audit": {"prompt": "masked", "answers": "masked"}, "schedule": {"feedback": "0 9 * * 1-5"},
        })  # fmt: skip
        stack = open_stack(topology_of(spec, tmp_path), engine=Seen(), runner=Debian())
        answered(stack.layout.data / "app-1", 7)
        files = monitoring_files(spec, tmp_path)
        write([f for f in files.values() if f.path.startswith("alertmanager/")], tmp_path)
        write(secret_files(topology_of(spec, tmp_path)), tmp_path)
        told: list[str] = []
        config = files["alertmanager/alertmanager.yml"].content
        with servers.alertmanager(config, tmp_path / "alertmanager") as server:
            monkeypatch.setattr(reports, "alertmanager_of", lambda _: Alertmanager(server.url))
            context = JobContext(stack.layout, lambda: stack, cast(History, None), told.append)
            assert feedback.job(context).summary == "sent via slack"
            servers.wait_for(lambda: not Alertmanager(server.url).alerts())
    (message,) = channel.messages
    assert message.title == "次の回答は正しかったですか。正誤を付けてください。"
    lines = message.text.splitlines()
    assert len(lines) == 5
    assert all("https://techsapo.example.com/feedback?id=req-" in line for line in lines)
    assert not any(word in message.text for word in ("secret", "0.77", "req-7"))
