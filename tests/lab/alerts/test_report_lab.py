"""The weekly report: what Prometheus says of the week, and that Slack and a mail server get it once."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import servers
from fakes.debian import Debian
from fakes.notified import notified
from fakes.open_stacks import Seen, open_stack
from mail_server import mail_server
from monitoring_stack import monitoring_files, spec_of, topology_of, write
from slack import incoming_webhook

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.apply.history import History
from techsapo_ops.jobs.job import JobContext
from techsapo_ops.render.stack import secret_files
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.alerts import reports
from techsapo_ops.watch.status import week as report_job
from techsapo_ops.watch.status.week import Week, week_of

pytestmark = pytest.mark.lab

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
HOSTILE = "<!channel> & *x* <https://evil.example|y>"


def stack_of(spec: Spec, folder: Path) -> Stack:
    return open_stack(topology_of(spec, folder), engine=Seen(), runner=Debian())


def fired(alert: str, severity: str, *spans: tuple[int, int]) -> Iterable[str]:
    """What Prometheus kept of an alert that fired from and to so many minutes ago."""
    page = ',page="true"' if severity == "critical" else ""
    labels = f'alertname="{alert}",severity="{severity}",alertstate="firing"{page}'
    for begin, end in spans:
        for minute in range(begin, end, -1):
            yield f"ALERTS{{{labels}}} 1 {(NOW - timedelta(minutes=minute)).timestamp():.0f}"


def week(folder: Path, metrics: dict[str, Iterable[str]]) -> Week:
    """The last week of a stack whose Prometheus knows `metrics`."""
    text = "".join(
        f"# TYPE {name} gauge\n" + "".join(f"{line}\n" for line in lines) for name, lines in metrics.items()
    )
    folder.mkdir()
    (folder / "history.txt").write_text(text + "# EOF\n")
    subprocess.run(
        [servers.binary("promtool"), "tsdb", "create-blocks-from", "openmetrics",
         folder / "history.txt", folder / "tsdb"],
        check=True, capture_output=True,
    )  # fmt: skip
    with servers.prometheus("{}", folder, flags=["--storage.tsdb.retention.time=60d"]) as server:
        stack = stack_of(spec_of({"project": "shop"}), folder)
        return week_of(stack, NOW - timedelta(days=7), NOW, Prometheus(server.url))


def test_incidents_have_their_holders_and_noise_is_what_began_often(tmp_path: Path) -> None:
    by = NOW - timedelta(minutes=119)
    found = week(
        tmp_path / "prometheus",
        {
            "ALERTS": [
                *fired("AppDown", "critical", (120, 90)),
                *fired("DiskFilling", "critical", (60, 50)),
                *fired("MemoryHigh", "warning", *((start, start - 2) for start in range(600, 400, -40))),
                *fired("Watchdog", "info", (600, 0)),
            ],
            "techsapo_alert_acknowledged": [
                f'techsapo_alert_acknowledged{{alert="AppDown",by="suzuki"}} 1 {by.timestamp():.0f}'
            ],
            "up": (
                f'up{{job="app"}} 1 {(NOW - timedelta(minutes=m)).timestamp():.0f}' for m in range(600, 0, -5)
            ),
        },
    )
    parts = {part.name: part for part in found.parts}
    first, second, measured = parts["paged"].lines
    assert (first.partition(",")[0], first.endswith(" min: suzuki")) == ("AppDown", True)
    assert (second.partition(",")[0], second.endswith(": not acknowledged by anyone")) == (
        "DiskFilling",
        True,
    )
    assert measured.startswith("Prometheus has data for only 10 h of 168 h")
    assert parts["noisy"].lines == ("MemoryHigh fired 5 times",)
    assert not parts["updates"].missing


def test_a_source_that_is_away_says_why_and_the_others_come(tmp_path: Path) -> None:
    nobody = Prometheus(f"http://127.0.0.1:{servers.free_port()}")
    found = week_of(stack_of(spec_of({"project": "shop"}), tmp_path), NOW - timedelta(days=7), NOW, nobody)
    missing = {part.name for part in found.parts if part.missing}
    assert {"paged", "noisy"} <= missing
    assert not missing & {"backups", "cost", "updates", "expires"}


def test_slack_and_mail_get_it_once_and_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with incoming_webhook() as channel, mail_server() as box:
        notifications = notified({
            "info": [{"kind": "slack", "url": channel.url}, {"kind": "email", "to": "ops@example.com"}],
            "smtp": {
                "smarthost": f"127.0.0.1:{box.port}", "sender": "techsapo@example.com", "require_tls": False
            },
        })  # fmt: skip
        spec = spec_of({"project": "shop", "locale": "en", "notifications": notifications})
        stack = stack_of(spec, tmp_path)
        files = monitoring_files(spec, tmp_path)
        write([f for f in files.values() if f.path.startswith("alertmanager/")], tmp_path)
        write(secret_files(topology_of(spec, tmp_path)), tmp_path)
        (tmp_path / "api-keys").mkdir()
        told: list[str] = []
        config = files["alertmanager/alertmanager.yml"].content
        with servers.alertmanager(config, tmp_path / "alertmanager") as server:
            made = Week(f"shop {HOSTILE}", NOW, NOW, week_of(stack, NOW - timedelta(days=7), NOW).parts)
            monkeypatch.setattr(reports, "alertmanager_of", lambda _: Alertmanager(server.url))
            monkeypatch.setattr(report_job, "week_of", lambda *_: made)
            context = JobContext(stack.layout, lambda: stack, cast(History, None), told.append)
            assert report_job.job(context).summary == "sent via email, slack"
            servers.wait_for(lambda: not Alertmanager(server.url).alerts())
    assert (channel.refused, box.refused) == ([], [])
    (message,), (mail,) = channel.messages, box.messages
    assert told == [made.title, *made.lines]
    assert (message.title, mail["Subject"]) == (made.title, made.title)
    body = mail.get_body(("plain",))
    assert body is not None
    assert message.text.splitlines() == body.get_content().splitlines() == told[1:]
