"""`techsapo report`: sending it ends with 1 where a receiver did not get it, and no secret is kept."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from in_process import techsapo

from techsapo_ops.cli.commands import report as command
from techsapo_ops.operations.report.report import Report
from techsapo_ops.operations.report.sending import Sent, Target
from techsapo_ops.stack.layout import Layout

SPEC = """\
project: shop
notifications:
  report: [{kind: slack, url: "https://hooks.slack.example/s3cret"}, {kind: email, to: ops@example.com}]
  smtp: {smarthost: "mail.example.com:587", sender: techsapo@example.com}
"""


def test_a_receiver_that_did_not_get_it_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(_: Layout, __: Report, to: tuple[Target, ...], *, again: bool) -> tuple[Sent, ...]:
        return tuple(Sent(target, "failed" if n else "sent") for n, target in enumerate(to))

    (tmp_path / "techsapo.yaml").write_text(SPEC)
    made = Report("shop", "en", datetime(2026, 11, 30, 8, tzinfo=UTC), 7, "shop: report", ())
    monkeypatch.setattr(command, "report_of", lambda *_: made)
    monkeypatch.setattr(command, "send_report", send)
    assert techsapo(tmp_path, "report").stdout.startswith("shop: report")
    assert techsapo(tmp_path, "report", "--send", "--again").returncode == 1
    kept = (tmp_path / ".techsapo/administration/record.jsonl").read_text()
    assert "report.1 failed" in kept
    assert "s3cret" not in kept
