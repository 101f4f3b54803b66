"""From findings to a verdict: what is joined, what supports, what is a guess, what an output changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from rows import each_row

from techsapo_ops.catalogue.checks import Known
from techsapo_ops.incidents.evidence import Pack, Piece
from techsapo_ops.incidents.findings import Findings, findings_of
from techsapo_ops.incidents.grounds import Grounds, kinds_of
from techsapo_ops.incidents.material import Subject
from techsapo_ops.incidents.question import Inquiry
from techsapo_ops.incidents.rules import findings_by_rules
from techsapo_ops.incidents.verdict import RULES, Struck, Verdict, verdict_of
from techsapo_ops.serve.incidents.story import LONGEST_OUTPUT, struck_by, with_output

AT = datetime(2026, 12, 1, 3, 10, tzinfo=UTC)
PIECES = (
    Piece("M1", "metrics", "prometheus", "shop_errors rose from 0 to 12", 9, AT, "shop"),
    Piece("M2", "metrics", "prometheus", "disk of db-1 at 99 %", 8, AT, "mysql", "db-1"),
    Piece(
        "L1",
        "logs",
        "/var/log/mysql.log",
        "No space left on device, shop v12 asks again",
        7,
        AT,
        "mysql",
        "db-1",
    ),
    Piece("H1", "host", "host", "/ has no free space", 6, AT, "", "db-1"),
    Piece("C1", "changes", "events", "deployed shop v12", 5, AT, "shop"),
    Piece("C2", "changes", "events", "deployed mysql 11.4", 4, AT, "mysql"),
    Piece("L2", "logs", "/var/log/shop.log", "memory of shop is low", 3, AT, "shop"),
    Piece("M3", "metrics", "prometheus", "memory of shop at 97 %", 3, AT, "shop"),
    Piece("R1", "runbook", "page.md: Check", "1. df -h", 1, AT, "mysql"),
)
INQUIRY = Inquiry(Pack(Subject(AT, "ShopErrors", {"service": "shop"}), PIECES, (), ()), "en", str)
DISK = {"cause": "The disk of mysql is full", "service": "mysql", "evidence": ["M2", "L1"]}
DISK_TOO = {"cause": "No space is left for mysql", "service": "mysql", "evidence": ["L1", "H1"]}
MEMORY = {"cause": "shop runs out of memory", "service": "shop", "evidence": ["L2", "M3"]}
GUESS = {"cause": "The deploy of mysql 11.4", "service": "mysql", "evidence": ["C2", "M2"]}
DEPLOY = {"cause": "The deploy of shop v12", "service": "shop", "evidence": ["C1", "L1", "M1"]}
NONE: Mapping[str, Any] = {"outcome": "not_enough_evidence", "missing": [{"kind": "logs", "of": "shop"}]}


def found(member: str, *causes: Mapping[str, Any], **more: Any) -> Findings:
    """What `member` finds by a reply with `causes`; without any it abstains."""
    said = {"causes": causes, "outcome": "cause", **more} if causes else {**NONE, **more}
    read = findings_of(member, json.dumps(said), INQUIRY, lambda _: False)
    assert read is not None
    return read


def drawn(*findings: Findings, struck: tuple[Struck, ...] = ()) -> Verdict:
    return verdict_of(findings, INQUIRY, struck)


def test_causes_that_mean_the_same_are_one_with_all_their_evidence() -> None:
    verdict = drawn(found("a", DISK), found("b", DISK_TOO), found("c", MEMORY))
    first, second = verdict.causes
    assert verdict.outcome == "cause"
    assert (first.members, set(first.evidence)) == (("a", "b"), {"M2", "L1", "H1"})
    assert (second.members, second.cause) == (("c",), MEMORY["cause"])
    assert first.kinds == {"metrics", "logs", "host"}


def test_causes_of_one_service_that_are_about_something_else_stay_apart() -> None:
    other = {"cause": "shop v12 was deployed", "service": "shop", "evidence": ["M3", "C1", "L1"]}
    assert len(drawn(found("a", MEMORY), found("b", other)).causes) == 2


def test_the_order_of_the_members_changes_no_outcome() -> None:
    members = [found("a", DISK), found("b", MEMORY), found("c", DISK_TOO), found("d")]
    verdicts = [drawn(*members), drawn(*reversed(members))]
    assert {v.outcome for v in verdicts} == {"cause"}
    assert len({frozenset(v.causes[0].members) for v in verdicts}) == 1


def test_a_cause_that_members_name_first_comes_first_and_only_others_dissent() -> None:
    verdict = drawn(found("a", MEMORY, DISK), found("b", MEMORY, DISK))
    assert [cause.cause for cause in verdict.causes] == [MEMORY["cause"], DISK["cause"]]
    assert verdict.dissent == ()
    split = drawn(found("a", MEMORY), found("b", DISK), found("c", MEMORY))
    assert [cause.members for cause in split.dissent] == [("b",)]


OUTCOMES = [
    ("one kind alone", [{**DISK, "evidence": ["L1"]}], "not_enough_evidence"),
    ("two pieces of one kind", [{**MEMORY, "evidence": ["M3"]}], "not_enough_evidence"),
    ("a runbook as the second kind", [{**DISK, "evidence": ["L1", "R1"]}], "not_enough_evidence"),
    ("two kinds", [DISK], "cause"),
    ("the newest deploy by the time alone", [GUESS], "guess"),
    ("a deploy that a log names", [DEPLOY], "cause"),
    ("a change beside evidence that is enough", [{**DISK, "evidence": ["M2", "L1", "C2"]}], "cause"),
    ("nothing", [], "not_enough_evidence"),
]  # fmt: skip


@each_row("name,causes,outcome", OUTCOMES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_provider_alone_gets_the_outcome_that_its_evidence_bears(
    name: str, causes: list[Mapping[str, Any]], outcome: str
) -> None:
    assert drawn(found("a", *causes)).outcome == outcome, name


JOINED = [
    ("event: deployed shop v12", "upstream of shop v12 answered 502", True),
    ("apply: 2×, 03:08:25Z to 03:09:00Z: shop", "shop_errors rose from 0 to 2 at 03:09:00Z", False),
    ("event: deployed shop in 2026", "since 2026-12-01 shop fails", False),
    ("apply: upstream → 127.0.0.1:8181", "connect to 127.0.0.1:8181 failed", True),
    ("event: deployed shop", "shop deployed, shop failed", False),
    ("certificate: of shop ended", "x509: expired", True),
    ("event: shopのバージョン更新", "shopの更新に失敗", False),
]  # fmt: skip


@each_row("change,other,joined", JOINED)
def test_a_change_is_joined_to_other_evidence_by_more_than_the_time(
    change: str, other: str, joined: bool
) -> None:
    pieces = (
        Piece("C1", "changes", "changes", change, 1, AT, "shop"),
        Piece("L1", "logs", "log", other, 1, AT, "shop"),
    )
    grounds = Grounds(replace(INQUIRY.pack, pieces=pieces), Known())
    assert grounds.is_guess("shop changed", "shop", ("C1", "L1")) is not joined


def test_a_supported_cause_comes_before_a_guess_that_more_members_hold() -> None:
    verdict = drawn(found("a", GUESS), found("b", GUESS), found("c", MEMORY))
    assert (verdict.outcome, verdict.causes[0].members) == ("cause", ("c",))
    assert verdict.causes[1].guess


def test_more_abstentions_than_holders_are_not_enough_evidence_and_say_what_is_missing() -> None:
    verdict = drawn(found("a", DISK), found("b"), found("c"))
    assert (verdict.outcome, verdict.abstained) == ("not_enough_evidence", ("b", "c"))
    assert [(each.kind, each.of) for each in verdict.missing] == [("logs", "shop")]
    assert drawn(found("a", DISK), found("b"), found("c", DISK)).outcome == "cause"
    assert drawn(found("a", DISK), found("b")).outcome == "cause"


def test_the_rules_join_others_and_outweigh_nobody() -> None:
    rules = findings_by_rules(INQUIRY)
    assert rules.claims[0].member == RULES
    assert drawn(rules).outcome == "evidence_only"
    assert drawn(rules).causes[0].providers == ()
    assert drawn(found("a"), rules).outcome == "not_enough_evidence"
    verdict = drawn(found("a", MEMORY), rules)
    assert (verdict.outcome, verdict.causes[0].members) == ("cause", ("a",))


def test_the_rules_abstain_where_no_two_kinds_speak_of_one_thing() -> None:
    pack = replace(INQUIRY.pack, pieces=PIECES[:1])
    assert findings_by_rules(replace(INQUIRY, pack=pack)).abstains


def test_a_piece_that_says_that_all_is_well_holds_no_cause_and_speaks_for_a_false_alarm() -> None:
    calm = Piece("H9", "host", "facts", "disk of db-1: 41 % used, free space 20 GB", 1, calm=True)
    inquiry = replace(INQUIRY, pack=replace(INQUIRY.pack, pieces=(*PIECES, calm)))
    for outcome, kinds in (("cause", {"logs"}), ("false_alarm", {"logs", "host"})):
        said = json.dumps({"causes": [{**DISK, "evidence": ["L1", "H9"]}], "outcome": outcome})
        read = findings_of("a", said, inquiry, lambda _: False)
        assert read is not None
        assert kinds_of(inquiry.pack, read.claims[0].evidence) == kinds


def test_a_false_alarm_is_said_to_be_one() -> None:
    verdict = drawn(found("a", DISK, outcome="false_alarm"), found("b", DISK, outcome="false_alarm"))
    assert verdict.outcome == "false_alarm"
    assert (
        drawn(found("a", DISK, outcome="false_alarm"), found("b", DISK), found("c", DISK)).outcome == "cause"
    )


def test_a_cause_that_is_struck_out_gives_way_to_the_next_without_another_question() -> None:
    members = (found("a", DISK), found("b", DISK_TOO), found("c", MEMORY))
    first = drawn(*members).causes[0]
    struck = Struck(first.cause, first.service, first.evidence, "df -h: 40 % free")
    verdict = drawn(*members, struck=(struck,))
    assert (verdict.outcome, verdict.causes[0].cause) == ("cause", MEMORY["cause"])
    assert (verdict.struck, verdict.spent) == ((struck,), False)
    alone = drawn(*members[:2], struck=(struck,))
    assert (alone.outcome, alone.spent) == ("not_enough_evidence", True)


CHECKED = [{"check": "disk_space", "slots": [], "cause": 1}, {"check": "memory", "slots": [], "cause": 9}]
FULL = "Filesystem Size Used Avail Use% Mounted on\n/dev/sda1 40G 40G 0 100% /"
FREE = FULL.replace("40G 40G 0 100%", "40G 10G 30G 25%")


def test_the_output_of_a_check_strikes_out_what_it_was_to_test_and_nothing_else() -> None:
    verdict = drawn(found("a", DISK, checks=CHECKED), found("b", MEMORY, checks=CHECKED[1:]))
    assert [(c.check, c.tests) for c in verdict.checks] == [("memory", ()), ("disk_space", (0,))]
    assert [each.cause for each in struck_by("disk_space", FREE, verdict, "df -h")] == [DISK["cause"]]
    for check, output in (("disk_space", FULL), ("disk_space", ""), ("memory", FREE), ("inodes", FREE)):
        assert struck_by(check, output, verdict, "x") == ()


def test_what_a_check_printed_becomes_the_first_piece_masked_and_bounded() -> None:
    output = f"password=x\x1b[2J {'a' * 2 * LONGEST_OUTPUT}"
    pack = with_output(
        INQUIRY.pack, ("df", "-h"), output, AT, lambda text: text.replace("password=x", "[SECRET]")
    )
    piece = pack.pieces[0]
    assert (piece.id, piece.kind, piece.source, len(piece.text)) == ("H2", "host", "df -h", LONGEST_OUTPUT)
    assert piece.text.startswith("[SECRET]")
    assert "\x1b" not in piece.text
    assert pack.pieces[1:] == INQUIRY.pack.pieces


def test_checks_of_a_member_whose_causes_weigh_nothing_are_not_proposed() -> None:
    invented = {"cause": "kafka_broker_7 is lost", "service": "kafka", "evidence": ["M1"]}
    assert drawn(found("a", invented, checks=CHECKED), found("b", DISK)).checks == ()
    assert drawn(found("a", checks=CHECKED[1:]), found("b")).checks != ()


def test_two_facts_are_of_different_kinds_and_those_of_the_cause_come_first() -> None:
    shown = INQUIRY.pack.facts(2, drawn(found("a", MEMORY)).cited)
    assert {piece.id for piece in shown} == {"L2", "M3"}
    shown = INQUIRY.pack.facts(2, drawn(found("a")).cited)
    assert [piece.id for piece in shown] == ["M1", "L1"]


def test_a_verdict_survives_as_json() -> None:
    verdict = drawn(found("a", DISK, checks=CHECKED), found("b"), findings_by_rules(INQUIRY))
    adapter = TypeAdapter(Verdict)
    assert adapter.validate_json(adapter.dump_json(verdict)) == verdict
