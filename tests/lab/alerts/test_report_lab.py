"""The weekly report reaches Slack and a mail server; a refusal is told without the secret of its address."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import servers
from fakes.debian import Debian
from fakes.open_stacks import open_stack
from mail_server import mail_server
from slack import incoming_webhook
from stacks import spec, topology

from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.operations.report.delivery import NotDelivered, deliver
from techsapo_ops.operations.report.report import Report, report_of
from techsapo_ops.operations.report.sending import targets

pytestmark = pytest.mark.lab

HOSTILE = "<!channel> & *x* <https://evil.example|y>"


def sent(folder: Path, **notifications: Any) -> Report:
    """Send one of a stack whose Prometheus is away to the only receiver."""
    wanted = spec(locale="en", notifications=notifications)
    nobody = Prometheus(f"http://127.0.0.1:{servers.free_port()}")
    made = report_of(open_stack(topology(wanted, folder), runner=Debian()), datetime.now(UTC), server=nobody)
    told = Report(made.project, made.locale, made.made, made.days, f"{HOSTILE} {made.title}", made.sections)
    (target,) = targets(wanted)
    deliver(target, told, timeout=5)
    return told


def test_slack_takes_it_and_a_refusal_or_a_server_without_tls_is_told_without_a_secret(
    tmp_path: Path,
) -> None:
    with incoming_webhook() as slack:
        told = sent(tmp_path, report=[{"kind": "slack", "url": slack.url, "channel": "#ops"}])
        (message,) = slack.messages
        assert message.text == told.text
        assert HOSTILE in message.text
        with pytest.raises(NotDelivered, match="answered HTTP 4") as refused:
            sent(tmp_path, report=[{"kind": "slack", "url": f"{slack.url}/s3cret"}])
        assert "s3cret" not in str(refused.value)
    with mail_server() as plain:
        smtp = {"smarthost": f"localhost:{plain.port}", "sender": "techsapo@example.com"}
        with pytest.raises(NotDelivered, match="offers no STARTTLS"):
            sent(tmp_path, report=[{"kind": "email", "to": "ops@example.com"}], smtp=smtp)
    assert plain.messages == []
