"""The description of an off-site copy: read back as written, and refused where anybody may mean harm."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.backup import description
from techsapo_ops.backup.description import Description, Kept, What, read
from techsapo_ops.errors import OpsError

KEPT = Kept("/srv/stack/techsapo.yaml", "/srv/stack/techsapo.yaml", What.SPEC, False, 0o640)
WHOLE = Description(
    backup="20260131T020000Z",
    project="shop",
    taken=datetime(2026, 1, 31, 2, 0, 9, tzinfo=UTC),
    tool="0.2.0",
    engine="native",
    environment="production",
    host="old",
    user="root",
    directory="/srv/stack",
    spec="techsapo.yaml",
    state="/srv/stack/.techsapo",
    tracing=False,
    kept=(KEPT,),
    variables=("SLACK_URL",),
    left={"prometheus": "backup.prometheus is off"},
)  # fmt: skip


def changed(**members: Any) -> bytes:
    return json.dumps({**json.loads(WHOLE.text()), **members}).encode()


def test_it_is_read_as_it_was_written() -> None:
    assert read(WHOLE.text().encode(), "it") == WHOLE


def test_a_newer_form_is_refused_with_words() -> None:
    with pytest.raises(OpsError, match="was written by a newer techsapo"):
        read(changed(version=2), "it")


@each_row(
    "members",
    [
        {"version": True},
        {"directory": "srv"},
        {"directory": "/srv/../etc"},
        {"directory": "//srv"},
        {"spec": "../techsapo.yaml"},
        {"spec": "a/b.yaml"},
        {"spec": ".."},
        {"state": "/srv/\0"},
        {"project": "../x"},
        {"environment": 7},
        {"taken": "yesterday"},
        {"kept": [{}]},
        {"kept": {}},
        {"kept": [json.loads(WHOLE.text())["kept"][0] | {"content": "/srv/../../etc/shadow"}]},
        {"kept": [json.loads(WHOLE.text())["kept"][0] | {"mode": 0o10000}]},
        {"kept": [json.loads(WHOLE.text())["kept"][0] | {"named": "a\nb"}]},
        {"left": {"redis": 8}},
        {"variables": "A"},
        {"host": "a\x1b[2Jb"},
    ],
    ids=str,
)
def test_what_could_mean_harm_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(OpsError, match="is damaged"):
        read(changed(**members), "it")


@each_row("data", [b"", b"[]", b"{", b"null", b"\xff", b'{"version": 1}', b"[" * 100_000])
def test_what_is_no_description_is_refused(data: bytes) -> None:
    with pytest.raises(OpsError, match="is damaged"):
        read(data, "it")


def test_one_that_is_too_long_or_names_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OpsError, match="is damaged"):
        read(WHOLE.text().encode() + b" " * description.LONGEST, "it")
    monkeypatch.setattr(description, "_MOST", 1)
    assert read(WHOLE.text().encode(), "it") == WHOLE
    with pytest.raises(OpsError, match="is damaged"):
        read(changed(kept=json.loads(WHOLE.text())["kept"] * 2), "it")
