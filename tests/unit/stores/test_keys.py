from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from techsapo_ops.errors import OpsError
from techsapo_ops.stores.keys import ApiKey, KeyFile, KeyRefused, KeyRing, Scope, new_key

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def made(name: str = "ci", scopes: tuple[Scope, ...] = ("ask",)) -> tuple[ApiKey, str]:
    return new_key(name, plan="basic", scopes=scopes, now=NOW)


def reason(ring: KeyRing, given: str | None, scope: Scope = "ask") -> str:
    with pytest.raises(KeyRefused) as refused:
        ring.check(given, scope)
    return refused.value.reason


def test_what_a_key_can_not_open_is_told_apart(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    good, shown = made()
    gone, shown_gone = made()
    old, shown_old = made()
    past = datetime.now(UTC) - timedelta(seconds=1)
    file.write((good, replace(gone, revoked=NOW), replace(old, expires=past)))
    ring = KeyRing(file)
    assert ring.check(shown, "ask") == good
    wrong = shown[:-1] + ("A" if shown[-1] != "A" else "B")
    assert reason(ring, None) == "missing"
    assert reason(ring, "") == "missing"
    assert reason(ring, "hunter2") == "malformed"
    assert reason(ring, shown + "\n") == "malformed"
    assert reason(ring, wrong) == "unknown"
    assert reason(ring, made()[1]) == "unknown"
    assert reason(ring, shown_gone) == "revoked"
    assert reason(ring, shown_old) == "expired"
    assert reason(ring, shown, "monitor") == "scope"


def test_keys_come_back_from_their_file_as_they_were_and_are_never_in_it(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    made_now, shown = new_key("鍵", plan="premium", scopes=("ask", "monitor"), now=NOW, expires=NOW)
    full = replace(made_now, per_minute=7, monthly_usd=5.0)
    file.write((full,))
    assert file.read() == (full,)
    assert shown not in file.path.read_text()
    assert len({made()[1] for _ in range(100)}) == 100


def test_revoking_needs_an_active_key_and_names_those_there_are(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    key, _ = made("ci")
    file.write((key,))
    with pytest.raises(OpsError, match="no active key 'nobody'") as refused:
        file.revoke("nobody", NOW)
    assert f"{key.id} (ci)" in refused.value.hint
    file.revoke("ci", NOW)
    with pytest.raises(OpsError, match="no active key"):
        file.revoke("ci", NOW)
