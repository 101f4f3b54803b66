"""The pack: what was read, weighed, masked and fitted into a size."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from techsapo_ops.adapters.prometheus import Series
from techsapo_ops.catalogue.translations import LANGUAGES
from techsapo_ops.incidents.evidence import Pack
from techsapo_ops.incidents.material import Change, Earlier, Fact, Line, Material, Page, Subject, Unread
from techsapo_ops.incidents.pack import LONGEST, leaving, masked, pack_of
from techsapo_ops.masking.masker import Masker

BEGAN = datetime(2026, 1, 31, 3, 10, tzinfo=UTC)
AT = BEGAN.timestamp()
TIMES = [AT - 1800 + 15 * n for n in range(125)]


def at(seconds: float) -> datetime:
    """So many seconds after the beginning of the alert."""
    return BEGAN + timedelta(seconds=seconds)


def series(name: str, before: float, after: float, since: float = -60, **labels: str) -> Series:
    """A series that steps from one value to another."""
    return Series({"__name__": name, **labels}, {t: after if t >= AT + since else before for t in TIMES})


SUBJECT = Subject(
    BEGAN, "ShopErrors", {"alertname": "ShopErrors", "job": "shop"}, 'errors_ratio{job="shop"} > 0.1',
    "The shop fails", services=frozenset({"shop"}), hosts=frozenset({"web-1"}),
)  # fmt: skip
MATERIAL = Material(
    SUBJECT,
    at(-1800),
    at(60),
    series=(
        series("errors_ratio", 0, 0.5, job="shop"),
        series("redis_memory_used_bytes", 6e7, 1e8, -120, job="redis"),
        series("redis_memory_max_bytes", 1e8, 1e8, job="redis"),
        series("temperature", 40, 41, job="node"),
    ),
    lines=(
        *(Line(at(n - 50), f"request {n} failed", "shop", "web-1", "error") for n in range(90)),
        Line(at(-70), "OOM command not allowed when used memory > 'maxmemory'", "redis", "web-1", "error"),
        *(Line(at(-1700 + 100 * n), "slow fork", "redis", "web-1", "warning") for n in range(17)),
    ),
    changes=(
        Change(at(-300), "apply", "apply 7", "-maxmemory 200mb\n+maxmemory 100mb", "redis", "web-1"),
        *(Change(at(-1600 + 300 * n), "job", f"tidy ended after {n} s") for n in range(5)),
    ),
    facts=(Fact("disk /", "20 % used", True), Fact("redis", "refuses writes", False, "redis")),
    pages=(Page("runbook", "shop.md", "ShopErrors", "1. Look at Redis."),),
    earlier=(Earlier("i-3", at(-9e5), "The shop fails", "the password taro was wrong"),),
    read=("prometheus",),
    unread=(Unread("loki", "timed out"),),
)


def pack(material: Material = MATERIAL, size: int = 24_000) -> Pack:
    """The pack of a material, without masking."""
    return pack_of(material, size, lambda text: text)


def test_what_people_read_first_of_a_piece_is_in_their_language_and_the_evidence_is_not() -> None:
    material = replace(
        MATERIAL, series=(*MATERIAL.series, series("redis_up", 1, 0, job="redis", instance="redis"))
    )
    english, japanese = (pack_of(material, 24_000, str, language) for language in LANGUAGES)
    assert [piece.text for piece in japanese.pieces] == [piece.text for piece in english.pieces]
    pairs = zip(english.pieces, japanese.pieces, strict=True)
    facts = {piece.id: (piece.fact, each.fact) for piece, each in pairs}
    assert facts["M2"] == (
        "instance=redis, job=redis: redis_up fell from 1 to 0 at 03:09:00Z",
        "instance=redis, job=redis: 応答 (redis_up) が 03:09:00Z に 1 から 0 へ減少",
    )
    assert facts["L2"] == (
        "90× error, 03:09:10Z to 03:10:39Z, none before: request 0 failed",
        "90× error、03:09:10Z〜03:10:39Z、それ以前はなし: request 0 failed",
    )


def test_each_kind_has_ids_by_its_letter_and_rank() -> None:
    made = pack()
    assert {piece.id[0] for piece in made.pieces} == set("MLCHRI")
    for kind in {piece.kind for piece in made.pieces}:
        ids = [int(piece.id[1:]) for piece in made.pieces if piece.kind == kind]
        assert ids == list(range(1, len(ids) + 1))
    assert made.piece("M1") is not None
    assert (made.read, made.unread) == (MATERIAL.read, MATERIAL.unread)


def test_what_the_alert_is_about_comes_first_and_what_is_unusual_after_it() -> None:
    texts = [piece.text for piece in pack().pieces]
    assert "errors_ratio rose from 0 to 0.5 at 03:09:00Z" in texts[0]
    first = "\n".join(texts[:10])
    assert "redis_memory_used_bytes rose from 57.2 MiB to 95.4 MiB" in first
    assert "+maxmemory 100mb" in first
    assert "OOM command not allowed" in first
    assert "redis: refuses writes" in first


def test_what_is_always_there_comes_after_what_is_new() -> None:
    texts = [piece.text for piece in pack().pieces]
    old = next(number for number, text in enumerate(texts) if "slow fork" in text)
    new = next(number for number, text in enumerate(texts) if "OOM command" in text)
    assert new < old
    assert "17×" in texts[old]
    assert not any("temperature" in text for text in texts[:8])


def test_the_lines_of_a_traceback_are_one_piece_that_weighs_as_an_error() -> None:
    said = [
        "Traceback (most recent call last):",
        '  File "a.py", line 1',
        "    ~~~^^",
        '  File "b.py", line 2',
        "TypeError: no total",
    ]
    lines = tuple(Line(at(-60 + n / 1000), text, "mailer") for n, text in enumerate(said))
    piece = next(
        p for p in pack(replace(MATERIAL, lines=MATERIAL.lines + lines)).pieces if p.service == "mailer"
    )
    assert "TypeError: no total" in piece.text
    assert piece.text.count("File") == 1
    assert "~~~" not in piece.text
    assert piece.id in {"L1", "L2", "L3"}


def test_no_kind_crowds_out_the_others() -> None:
    loud = tuple(
        Line(at(-50), f"ERROR {'abcdefghij'[n % 10] * (n + 1)} failed {'x' * n}", "shop", "web-1", "error")
        for n in range(200)
    )
    kinds = [piece.kind for piece in pack(replace(MATERIAL, lines=MATERIAL.lines + loud)).pieces[:10]]
    assert len(set(kinds)) >= 4
    assert max(kinds.count(kind) for kind in set(kinds)) <= 5


@pytest.mark.parametrize("size", [500, 1_000, 2_000, 8_000])
def test_a_pack_keeps_to_its_size(size: int) -> None:
    made = pack(replace(MATERIAL, pages=(Page("runbook", "a", "b", "言" * 5_000),)), size)
    shown = "".join(f"{p.id}{p.source}{p.service}{p.host}{p.text}{p.sample}" for p in made.pieces)
    assert len(shown.encode()) <= size
    assert all(len(piece.text) <= LONGEST for piece in made.pieces)


def test_the_same_material_gives_the_same_pack_whatever_its_order() -> None:
    source = random.Random(3)
    parts = ("series", "changes", "facts")
    shuffled = {
        part: tuple(source.sample(getattr(MATERIAL, part), len(getattr(MATERIAL, part)))) for part in parts
    }
    assert pack(replace(MATERIAL, **shuffled)) == pack()  # type: ignore[arg-type]


def test_every_text_is_masked() -> None:
    secret = "AKIAIOSFODNN7EXAMPLE"
    loki = f"logs of shop (http://loki:{secret}@loki:3100)"
    material = replace(
        MATERIAL,
        subject=replace(SUBJECT, summary=f"key {secret}", labels={"a": secret}, question=secret),
        lines=(Line(at(0), f"key {secret} refused", "shop", level="error"),),
        changes=(Change(at(0), "event", "new key", f"aws_access_key_id = {secret}"),),
        facts=(Fact("key", secret, False),),
        pages=(Page("knowledge", "a.md", "Keys", secret),),
        earlier=(Earlier("i-3", at(-9e5), secret, secret),),
        read=(loki,),
        unread=(Unread(loki, f"{loki}: refused"),),
    )
    made = pack_of(material, 24_000, Masker("secrets").mask)
    assert secret not in repr(made)
    assert "[" in made.subject.summary
    assert secret not in repr(masked(material, Masker("secrets").mask))


def test_of_very_many_candidates_the_strongest_alone_are_masked() -> None:
    """A stranger's bundle may have one for each line, and masking takes longer than all else."""
    looked: list[str] = []

    def noted(text: str) -> str:
        looked.append(text)
        return text

    changes = tuple(Change(at(-60), "event", f"{'x' * 1_000} {n:b}", service=f"s{n}") for n in range(1_000))
    assert pack_of(replace(MATERIAL, changes=changes), 24_000, noted).pieces
    assert len(looked) < 1_100


def test_control_characters_do_not_come_in() -> None:
    made = pack(replace(MATERIAL, lines=(Line(at(0), "\x1b[2J\u202e failed", "shop", level="error"),)))
    assert "\x1b" not in repr(made)


def test_samples_stay_behind_unless_they_may_leave() -> None:
    made = pack()
    logs = [piece for piece in made.pieces if piece.kind == "logs"]
    assert all(piece.sample for piece in logs)
    assert not any(piece.sample for piece in leaving(made, {}).pieces)
    some = leaving(made, {"shop": "samples", "redis": "nothing"})
    assert {piece.service for piece in some.pieces if piece.kind == "logs"} == {"shop"}
    assert all(piece.sample for piece in some.pieces if piece.kind == "logs")
    assert [p for p in some.pieces if p.kind != "logs"] == [p for p in made.pieces if p.kind != "logs"]


def test_words_of_a_question_lift_what_holds_them() -> None:
    wrong = [Fact(f"fact {n}", "is wrong", False) for n in range(5)]
    facts = (*wrong, Fact("証明書の期限", "あと2日", False))
    asked = replace(MATERIAL, subject=Subject(BEGAN, question="証明書の期限は大丈夫？"), facts=facts)
    assert next(piece for piece in pack(asked).pieces if piece.kind == "host").text.startswith("証明書の期限")


def test_a_kill_for_the_memory_of_somebody_else_comes_after_one_of_the_alerts_own_services() -> None:
    kills = [Change(at(-90), "oom", f"killed {name}", service=name) for name in ("other.service", "shop")]
    asked = replace(MATERIAL, subject=replace(SUBJECT, services=frozenset({"shop"})), changes=tuple(kills))
    scores = {piece.service: piece.score for piece in pack(asked).pieces if piece.kind == "changes"}
    assert scores["shop"] > scores["other.service"] + 0.3


def test_nothing_read_is_an_empty_pack() -> None:
    assert pack(Material(SUBJECT, at(-60), at(0))).pieces == ()
    assert pack(Material(SUBJECT, BEGAN, BEGAN)).pieces == ()
