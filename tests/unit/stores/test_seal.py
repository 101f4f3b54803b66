from __future__ import annotations

import re
import time

import pytest
from rows import each_row

from techsapo_ops.stores.seal import Forged, Seal

SEAL = Seal(b"k" * 48)
DAY = 86_400
KEPT = SEAL.closed("lab:answer:1", b'{"text": "restart it"}', DAY)


def test_what_was_sealed_is_opened_at_its_place() -> None:
    assert SEAL.opened("lab:answer:1", KEPT) == b'{"text": "restart it"}'


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


def test_a_value_that_somebody_keeps_for_longer_ends_when_it_was_to() -> None:
    later = Seal(b"k" * 48, lambda: time.time() + DAY + 1)
    assert later.opened("lab:answer:1", KEPT) is None


def test_place_and_value_cannot_be_cut_elsewhere() -> None:
    one, other = (SEAL.closed(p, v, 60) for p, v in (("a", b"bc"), ("ab", b"c")))
    assert re.findall(rb"[0-9a-f]{64}", one) != re.findall(rb"[0-9a-f]{64}", other)
