"""A label whose commit nobody heard of is given to another member of a cluster, and stays one label."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from techsapo_ops.stores.audit.spool import AuditRow
from techsapo_ops.stores.audit.store import AuditStore
from techsapo_ops.stores.labels.rows import Label
from techsapo_ops.stores.labels.store import LabelStore

NOW = datetime(2026, 12, 2, tzinfo=UTC)


def test_a_label_that_is_given_again_is_stored_once(tmp_path: Path) -> None:
    file = tmp_path / "audit.sqlite"
    audit, labels = AuditStore(None, file), LabelStore(None, file)
    audit.insert([AuditRow("1" * 32, NOW, "app", "r", prompt_hash="h", panel="{}")])
    label = Label("2" * 32, "r", "aki", "right", None, NOW, "api")
    assert [labels.add(label), labels.add(label)] == [True, True]
    (answered,) = labels.answered(NOW)
    assert answered.labels == (label,)
    audit.close()
    labels.close()
