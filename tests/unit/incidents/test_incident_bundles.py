"""Bundles: written whole, read strictly, and by others' tools too."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from rows import each_row
from yaml import safe_load

from techsapo_ops.adapters.jsons import dump
from techsapo_ops.adapters.prometheus import Series
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents import bundle
from techsapo_ops.incidents.bundle import (
    MATERIAL_BYTES,
    Answer,
    Decisive,
    material_json,
    material_of,
    read_answer,
    read_bundle,
    write_bundle,
)
from techsapo_ops.incidents.material import Change, Earlier, Fact, Line, Material, Page, Subject, Unread
from tests.incidents.schema import SCHEMA, bundle_schema

CASES = Path(__file__).parents[2] / "cases"
T = datetime(2026, 1, 31, 3, 10, tzinfo=UTC)
MATERIAL = Material(
    Subject(
        T, "RedisDown", {"job": "redis"}, 'up{job="redis"} == 0', "Redis is down", "", frozenset({"redis"})
    ),
    T - timedelta(minutes=30),
    T,
    series=(
        Series({"__name__": "up", "job": 'a "b"\\c\nd'}, {T.timestamp() - 15: 1.0, T.timestamp(): 0.0}),
        Series({"__name__": "up_total"}, {T.timestamp(): float("inf")}),
        Series({"__name__": "up_total", "path": "一 }, 二"}, {T.timestamp() + 0.5: 1e300}),
        Series({"__name__": "with.dots", "a.b": "c"}, {T.timestamp(): 1.0}),
    ),
    lines=(Line(T, "接続できません", "redis", "here", "error"), Line(T, "a\nb")),
    changes=(Change(T, "event", "deployed v12", service="shop"), Change(T, "apply", "7", "-a\n+b")),
    facts=(Fact("disk /", "99 %", False, host="here"), Fact("load", "1")),
    pages=(Page("knowledge", "wiki.md", "Redis", "Look.\n\n```\n# no heading\n```"),),
    earlier=(Earlier("i-1", T, "Redis was down", "out of memory"),),
    read=("prometheus",),
    unread=(Unread("loki", "timed out"),),
)
ANSWER = Answer(
    "fault", "out of memory", "redis", ("a", "b"), (Decisive("logs", ("OOM", "oom")),), ("deploy",)
)


def test_a_bundle_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", MATERIAL, ANSWER)
    assert read_bundle(tmp_path / "b") == MATERIAL
    assert read_answer(tmp_path / "b") == ANSWER
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_an_empty_bundle_comes_back_too(tmp_path: Path) -> None:
    empty = Material(Subject(T, question="Why?"), T, T)
    write_bundle(tmp_path / "b", empty)
    assert read_bundle(tmp_path / "b") == empty == material_of(material_json(empty))
    assert read_answer(tmp_path / "b") is None


def test_a_change_of_another_century_is_within_the_bounds_of_a_bundle() -> None:
    """What drifted is as old as its file says, which may be 1970."""
    old = Change(datetime(1970, 1, 1, tzinfo=UTC), "drift", "redis.conf differs")
    late = replace(old, at=datetime(9999, 12, 31, tzinfo=UTC))
    again = material_of(material_json(replace(MATERIAL, changes=(old, late))))
    assert [change.at.year for change in again.changes] == [2000, 2099]


def test_files_fit_the_schema_and_the_parser_of_prometheus_client(tmp_path: Path) -> None:
    import jsonschema  # it takes a second, and each worker collects this file

    write_bundle(tmp_path / "b", MATERIAL, ANSWER)
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)

    def check(value: object, name: str | None) -> None:
        jsonschema.validate(value, {**schema, **schema["$defs"][name]} if name else schema)

    check(json.loads((tmp_path / "b/alert.json").read_text()), None)
    check(json.loads((tmp_path / "b/answer.json").read_text()), "Answer")
    for name, file in (("Change", "changes.json"), ("Fact", "facts.json"), ("Page", "pages.json")):
        for value in json.loads((tmp_path / "b" / file).read_text()):
            check(value, name)
    for line in (tmp_path / "b/logs.jsonl").read_text().splitlines():
        check(json.loads(line), "Line")
    families = list(text_string_to_metric_families((tmp_path / "b/metrics.om").read_text()))
    assert sum(len(family.samples) for family in families) == 5


def test_the_packaged_schema_is_that_of_the_types() -> None:
    assert json.loads(SCHEMA.read_text()) == bundle_schema(), "run python -m tests.incidents.schema"


def test_only_a_folder_that_is_not_there_is_written(tmp_path: Path) -> None:
    (tmp_path / "b").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OpsError, match="exists"):
        write_bundle(tmp_path / "b", MATERIAL)
    with pytest.raises(OpsError, match="cannot write"):
        write_bundle(tmp_path / "missing" / "b", MATERIAL)


def test_nothing_is_left_of_a_bundle_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OpsError, match="the disk is full"):
        write_bundle(tmp_path / "b", MATERIAL)
    assert not list(tmp_path.iterdir())


@each_row("row", safe_load((CASES / "bundles.yaml").read_text()), ids=lambda row: row["name"])
def test_an_error_names_the_file_and_the_place_in_it(tmp_path: Path, row: Mapping[str, Any]) -> None:
    write_bundle(tmp_path / "b", MATERIAL)
    path = tmp_path / "b" / row["file"]
    path.write_text(row["content"] * row.get("times", 1))
    with pytest.raises(OpsError, match=row["error"]):
        read_bundle(tmp_path / "b")


def test_what_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", MATERIAL)
    (tmp_path / "b/logs.jsonl").write_bytes(b"\n\n\xff")
    with pytest.raises(OpsError, match=r"logs\.jsonl: not UTF-8 text"):
        read_bundle(tmp_path / "b")


def test_exemplars_and_descriptions_are_passed_over(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", MATERIAL)
    text = (
        '# TYPE a counter\n# HELP a x\na_total{b="c"} +1.5e3 1.5 # {id="7"} 1 1\n'
        '# TYPE "d.e" unknown\n{"d.e",f="g"} NaN 2\n# EOF\n'
    )
    (tmp_path / "b/metrics.om").write_text(text)
    first, second = read_bundle(tmp_path / "b").series
    assert first == Series({"__name__": "a_total", "b": "c"}, {1.5: 1500.0})
    assert second.labels == {"__name__": "d.e", "f": "g"}


@pytest.mark.parametrize("name", ["alert.json", "metrics.om", "logs.jsonl", "pages.json"])
def test_no_link_in_a_bundle_is_followed(tmp_path: Path, name: str) -> None:
    for folder in ("b", "other"):
        write_bundle(tmp_path / folder, MATERIAL)
    path = tmp_path / "b" / name
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "other" / name)
    with pytest.raises(OpsError, match=f"{name} is a symbolic link"):
        read_bundle(tmp_path / "b")


def test_a_pipe_in_a_bundle_is_not_waited_for(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", MATERIAL)
    (tmp_path / "b/logs.jsonl").unlink()
    os.mkfifo(tmp_path / "b/logs.jsonl")
    with pytest.raises(OpsError, match="is not a regular file"):
        read_bundle(tmp_path / "b")


def test_a_file_is_read_up_to_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(tmp_path / "b", MATERIAL)
    monkeypatch.setattr(bundle, "MOST_BYTES", {**bundle.MOST_BYTES, "lines": 50})
    with pytest.raises(OpsError, match=r"logs\.jsonl: larger than 50 bytes"):
        read_bundle(tmp_path / "b")


def test_control_characters_do_not_come_in(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", MATERIAL)
    (tmp_path / "b/metrics.om").write_text('up{a="\x1b[2J"} 1 1\n# EOF\n')
    line = json.dumps({"time": "2026-01-01T00:00:00Z", "message": "\x1b[31m\u202e", "service": "a\nb"})
    (tmp_path / "b/logs.jsonl").write_text(line)
    material = read_bundle(tmp_path / "b")
    assert material.series[0].labels["a"] == "\N{REPLACEMENT CHARACTER}[2J"
    assert "\x1b" not in material.lines[0].text
    assert material.lines[0].service == "a b"


def test_what_is_too_much_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = tuple(Line(T - timedelta(seconds=n), f"line {n}") for n in range(100))
    monkeypatch.setattr(bundle, "MOST_BYTES", {**bundle.MOST_BYTES, "lines": 1000})
    write_bundle(tmp_path / "b", replace(MATERIAL, lines=lines))
    material = read_bundle(tmp_path / "b")
    assert material.lines == lines[: len(material.lines)]
    assert 10 < len(material.lines) < 20
    assert material.unread[0] == Unread("lines", f"{100 - len(material.lines)} left out: too large")


def test_the_json_of_a_material_stays_below_its_bound() -> None:
    many = replace(
        MATERIAL,
        series=tuple(Series({"__name__": f"a{n}", "b": '"' * 500}, {1.0: 1.0}) for n in range(2000)),
        lines=tuple(Line(T, "行" * 5000) for _ in range(300)),
        changes=tuple(Change(T, "event", "x", "変" * 4000) for _ in range(300)),
        facts=tuple(Fact("n", "v" * 2000) for _ in range(2000)),
        pages=tuple(Page("runbook", "f", "h", "t" * 30_000) for _ in range(30)),
        unread=tuple(Unread("s" * 300, "r" * 2000) for _ in range(300)),
    )
    written = dump(material_json(many))
    assert MATERIAL_BYTES * 0.8 < len(written) <= MATERIAL_BYTES
    assert {one.source for one in material_of(json.loads(written)).unread} >= {"series", "lines"}


def test_the_json_of_a_material_is_checked() -> None:
    assert material_of(json.loads(dump(material_json(MATERIAL)))) == MATERIAL
    wrong: list[object] = [
        None,
        [],
        {},
        {"subject": {"began": "x"}},
        {**material_json(MATERIAL), "lines": [{}]},
    ]
    for value in wrong:
        with pytest.raises(OpsError):
            material_of(value)
