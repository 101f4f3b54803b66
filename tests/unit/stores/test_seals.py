"""What is made by the stack's key: seals of what is kept, proofs of drills, digests of prompts."""

from __future__ import annotations

import hashlib
import re
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.stores.app_key import (
    DRILL_LIFE,
    MOST_DRILL_LIFE,
    DrillSeal,
    Forged,
    PromptHash,
    Seal,
    shared_key,
)

SEAL = Seal(b"k" * 48)
DAY = 86_400
KEPT = SEAL.closed("lab:answer:1", b'{"text": "restart it"}', DAY)


def test_what_was_sealed_is_opened_at_its_place_until_its_time_is_over() -> None:
    assert SEAL.opened("lab:answer:1", KEPT) == b'{"text": "restart it"}'
    later = Seal(b"k" * 48, lambda: time.time() + DAY + 1)
    assert later.opened("lab:answer:1", KEPT) is None, "though somebody kept it for longer"


@each_row(
    "kept",
    [
        b"", b"{}", b'{"text": "curl x | sh"}', KEPT[:-1], KEPT + b" ",
        KEPT.replace(b"restart", b"destroy"),
        b"2" + KEPT[1:], KEPT.partition(b"\n")[2], b"1 9999999999999 " + KEPT.split(b" ", 2)[2], b"\xff" * 90,
    ],
)  # fmt: skip
def test_what_was_altered_is_forged(kept: bytes) -> None:
    with pytest.raises(Forged):
        SEAL.opened("lab:answer:1", kept)


@each_row("seal, place", [(SEAL, "lab:answer:2"), (Seal(b"j" * 48), "lab:answer:1")], ids=["moved", "key"])
def test_a_value_that_was_moved_or_is_by_another_key_is_forged(seal: Seal, place: str) -> None:
    with pytest.raises(Forged):
        seal.opened(place, KEPT)


def test_place_and_value_cannot_be_cut_elsewhere() -> None:
    one, other = (SEAL.closed(p, v, 60) for p, v in (("a", b"bc"), ("ab", b"c")))
    assert re.findall(rb"[0-9a-f]{64}", one) != re.findall(rb"[0-9a-f]{64}", other)


NOW = 1_800_000_000.0


def drill(key: bytes = b"key", now: float = NOW) -> DrillSeal:
    return DrillSeal(key, lambda: now)


ASKED = ("POST", "/api/v1/drill", "drill-1-000001")
PROOF = drill().proof(*ASKED)


def test_a_proof_holds_for_its_request_and_body_until_its_time_is_over() -> None:
    assert drill().holds(PROOF, *ASKED)
    assert drill(now=NOW + DRILL_LIFE).holds(PROOF, *ASKED)
    assert not drill(now=NOW + DRILL_LIFE + 1).holds(PROOF, *ASKED)
    assert drill().holds(drill().proof(*ASKED, b"{}"), *ASKED, b"{}")
    assert not drill(b"other").holds(PROOF, *ASKED), "it is another stack's"
    years = drill(now=NOW + MOST_DRILL_LIFE).proof(*ASKED)
    assert not drill().holds(years, *ASKED), "its MAC is right, its time is not"


@each_row(
    "asked",
    [
        ("GET", "/api/v1/drill", "drill-1-000001"),
        ("POST", "/api/v1/drill/stream", "drill-1-000001"),
        ("POST", "/api/v1/drill", "drill-1-000002"),
        ("POST", "/api/v1/drill drill-1", "000001"),
        ("POST", "/api/v1/drilldrill-1-", "000001"),  # the same characters in a row
        (*ASKED, b"{}"),
    ],
)
def test_a_proof_holds_for_no_other_request_or_body(asked: tuple[Any, ...]) -> None:
    assert not drill().holds(PROOF, *asked)


@each_row(
    "proof",
    ["", "1", PROOF[:-1], PROOF.upper(), PROOF.replace("1 ", "2 ", 1), f"{PROOF} ", "1 99 " + "0" * 64],
)
def test_what_is_no_proof_is_refused(proof: str) -> None:
    assert not drill().holds(proof, *ASKED)


PROMPT = "Dockerコンテナが起動しない"


@each_row("prompt", [PROMPT, "", "\ud800", "x" * 20_000])
def test_it_fits_the_column_and_names_its_form_and_key(prompt: str) -> None:
    assert re.fullmatch(r"k1\.[0-9a-f]{8}\.[0-9a-f]{52}", PromptHash(b"key").of(prompt))


def test_without_the_key_nobody_finds_out_which_question_it_was_nor_compares_across_keys() -> None:
    made = PromptHash(b"key").of(PROMPT)
    assert hashlib.sha256(PROMPT.encode()).hexdigest()[:20] not in made
    assert PromptHash(b"another").of(PROMPT).split(".")[2] != made.split(".")[2]
    keys = {PromptHash(key).of(PROMPT).split(".")[1] for key in (b"key", b"another", None, None)}
    assert len(keys) == 4, "it tells by which key it is"


def test_the_key_is_made_once_for_its_owner_alone_and_then_read(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "app-key"
    made = shared_key(file)
    assert made is not None
    assert len(made) == 48
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert shared_key(file) == made
    assert [path.name for path in file.parent.iterdir()] == ["app-key"]


def test_instances_that_start_at_once_have_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(shared_key, [tmp_path / "app-key"] * 32))
    assert len(found) == 1


def test_a_key_that_cannot_be_read_is_none_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "app-key").mkdir()
    assert shared_key(tmp_path / "app-key") is None
    assert "seals what it keeps by its own" in caplog.text


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "app-key").symlink_to(tmp_path / "elsewhere")
    assert shared_key(tmp_path / "app-key") is None
    assert not (tmp_path / "elsewhere").exists()
