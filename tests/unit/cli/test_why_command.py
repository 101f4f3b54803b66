"""`techsapo why` as a user calls it, on a bundle and on a stack of which nothing runs."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import in_process
import pytest
from fakes.http_server import Asked, answering
from rows import each_row

from techsapo_ops.cli.incidents.why_view import lines, sentence
from techsapo_ops.incidents.bundle import write_bundle
from techsapo_ops.incidents.evidence import Pack, Piece
from techsapo_ops.incidents.material import Change, Fact, Line, Material, Subject, Unread

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SUBJECT = Subject(NOON, "ShopDown", {"job": "shop"}, summary="The shop is down", services=frozenset({"shop"}))
MATERIAL = Material(
    SUBJECT,
    NOON - 30 * MINUTE,
    NOON + 5 * MINUTE,
    lines=tuple(
        Line(NOON + n * MINUTE, f"user{n}@example.com: no space left on device", "shop", "", "error")
        for n in range(3)
    ),
    changes=(Change(NOON - MINUTE, "apply", "apply @7 by alice", "disk: 10G → 1G", "shop"),),
    facts=(Fact("room at /", "0 B of 9 GB free", ok=False),),
    read=("Prometheus", "this host"),
    unread=(Unread("logs of till", "Permission denied"),),
)


def techsapo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return in_process.techsapo(folder, *words, env={"PATH": "/usr/bin:/bin"})


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "bundle", MATERIAL)
    return tmp_path / "bundle"


def test_a_bundle_is_investigated_without_a_spec_and_without_a_stack(bundle: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = techsapo(empty, "why", "--from", str(bundle))
    assert done.returncode == 0
    first, *rest = done.stdout.splitlines()
    assert first.startswith("ShopDown: The shop is down (since 2026-01-31")
    assert rest[0].startswith("  1. ")
    assert any("no space left on device" in line for line in rest[:3])
    assert rest[-1] == "looked at 2 of 3 sources; not read: logs of till (Permission denied)"
    assert list(empty.iterdir()) == []


def test_as_json_each_piece_has_its_id_and_times_are_texts(bundle: Path, tmp_path: Path) -> None:
    said = json.loads(techsapo(tmp_path, "why", "--from", str(bundle), "--json").stdout)
    assert said["subject"]["services"] == ["shop"]
    assert said["from"] == "2026-01-31T11:30:00+00:00"
    assert {piece["id"][0] for piece in said["pieces"]} == {"L", "C", "H"}
    assert said["unread"] == [{"source": "logs of till", "reason": "Permission denied"}]


def test_what_would_be_sent_has_no_sample_and_no_address_of_a_customer(bundle: Path, tmp_path: Path) -> None:
    sent = techsapo(tmp_path, "why", "--from", str(bundle), "--show-sent").stdout
    assert "no space left on device" in sent
    assert "example.com" not in sent
    assert "<C1>" in sent
    assert "<names>\nservice: shop\n</names>" in sent  # by what the app knows, as the app sends it


def test_a_bundle_can_be_exported_again_but_never_over_another(bundle: Path, tmp_path: Path) -> None:
    there = str(tmp_path / "again")
    assert techsapo(tmp_path, "why", "--from", str(bundle), "--export", there).returncode == 0
    assert (tmp_path / "again" / "alert.json").read_bytes() == (bundle / "alert.json").read_bytes()
    assert techsapo(tmp_path, "why", "--from", str(bundle), "--export", there).returncode == 1


def test_what_is_exported_holds_no_secret_of_a_log(tmp_path: Path) -> None:
    told = Line(NOON, "login refused: password=Tr0ub4dor", "shop", "", "error")
    write_bundle(tmp_path / "bundle", replace(MATERIAL, lines=(told,)))
    there = tmp_path / "again"
    assert techsapo(tmp_path, "why", "--from", "bundle", "--export", str(there)).returncode == 0
    assert "login refused: password=[" in (there / "logs.jsonl").read_text()


@each_row(
    "words, code, said",
    [
        (["--from", "gone"], 1, "gone/alert.json: is missing"),
        (["--since", "soon"], 2, "--since"),
        (["NoSuchAlert"], 2, "there is no alert NoSuchAlert"),
        (["--url", "nowhere"], 2, "is not an address"),
        (["12", "--show-sent"], 2, "--show-sent needs an alert"),
        (["AppDown", "--show-sent", "--url", "http://127.0.0.1:9"], 2, "--show-sent needs an alert"),
    ],
)
def test_what_can_not_be_investigated_is_an_error(
    tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    spec(tmp_path)
    done = techsapo(tmp_path, "why", *words)
    assert done.returncode == code
    assert said in done.stderr


@each_row("words, ask", [([], True), (["--no-ask"], False)])
def test_from_elsewhere_and_about_an_incident_the_app_reads_and_asks_unless_it_must_not(
    tmp_path: Path, words: list[str], ask: bool
) -> None:
    def app(asked: Asked) -> tuple[int, bytes]:
        assert (asked.method, asked.path) == ("POST", "/api/v1/incidents/investigate")
        assert json.loads(asked.body) == {"about": "12", "since": 3600.0, "ask": ask}
        return 200, json.dumps({"request_id": "req_1", "text": "The disk is \x1b[31mfull."}).encode()

    with answering(app) as server:
        done = techsapo(tmp_path, "why", "12", "--since", "1h", "--url", server.url, *words)
    assert done.returncode == 0
    assert done.stdout == "The disk is \N{REPLACEMENT CHARACTER}[31mfull.\n"


def spec(folder: Path, **services: Any) -> None:
    (folder / "techsapo.yaml").write_text(
        "project: t\nlocale: en\nengine: native\nredis: {enabled: false}\n"
        "monitoring:\n  prometheus: {enabled: false}\n  alertmanager: {enabled: false}\n"
        "investigate:\n  services:\n    - name: shop\n      match: {job: shop}\n"
        "      logs: [{kind: file, path: shop.log}]\n"
    )


@each_row("about", ["AppDown", "why is the shop slow?", ""])
def test_a_stack_that_was_never_brought_up_is_looked_at_all_the_same(tmp_path: Path, about: str) -> None:
    spec(tmp_path)
    stamp = (datetime.now(UTC) - MINUTE).isoformat()
    (tmp_path / "shop.log").write_text(f"{stamp} ERROR no space left on device\n")
    said = json.loads(techsapo(tmp_path, "why", about, "--no-ask", "--json").stdout)
    assert any("no space left" in piece["text"] for piece in said["pieces"])
    assert "this host" in said["read"]


def piece(number: int, kind: Any, text: str = "x") -> Piece:
    return Piece(f"{kind[0].upper()}{number}", kind, kind, text, 1.0 - number / 10)


def test_the_three_facts_are_of_different_kinds_where_there_are_others() -> None:
    pieces = [
        piece(1, "logs"),
        piece(2, "logs"),
        piece(1, "runbook"),
        piece(3, "changes"),
        piece(4, "metrics"),
    ]
    pack = Pack(SUBJECT, tuple(pieces), (), ())
    assert [each.id for each in pack.facts()] == ["L1", "C3", "M4"]
    assert [each.id for each in replace(pack, pieces=tuple(pieces[:3])).facts()] == ["L1", "L2"]


def test_one_sentence_says_what_and_since_when() -> None:
    now = NOON + 12 * MINUTE
    assert sentence(SUBJECT, now).endswith("for 12m)")
    assert " to " in sentence(replace(SUBJECT, ended=NOON + MINUTE), now)
    assert sentence(Subject(NOON, question="why slow?"), now).startswith("why slow? (since ")


def test_long_pieces_are_cut_and_without_any_that_is_said() -> None:
    long = piece(1, "changes", "\n".join(f"line {n}" for n in range(20)))
    said = list(lines(Pack(SUBJECT, (long,), ("a",), ()), NOON))
    assert "     … 14 more lines" in said
    assert "nothing unusual was seen" in list(lines(Pack(SUBJECT, (), ("a",), ()), NOON))


def test_validate_warns_of_sources_that_can_not_be_read_now(tmp_path: Path) -> None:
    spec(tmp_path)
    said = techsapo(tmp_path, "validate").stderr
    assert "investigate.services.0.logs.0: can't be read now: there is no file" in said
    (tmp_path / "shop.log").touch()
    assert "can't be read" not in techsapo(tmp_path, "validate").stderr
