"""Only this stack can make the proof of a drill's request, and only for that request."""

from __future__ import annotations

from rows import each_row

from techsapo_ops.stores.drill_seal import LIFE, MOST_LIFE, DrillSeal

NOW = 1_800_000_000.0


def seal(key: bytes = b"key", now: float = NOW) -> DrillSeal:
    return DrillSeal(key, lambda: now)


ASKED = ("POST", "/api/v1/drill", "drill-1-000001")
PROOF = seal().proof(*ASKED)


def test_a_proof_holds_for_its_request_until_its_time_is_over() -> None:
    assert seal().holds(PROOF, *ASKED)
    assert seal(now=NOW + LIFE).holds(PROOF, *ASKED)
    assert not seal(now=NOW + LIFE + 1).holds(PROOF, *ASKED)


@each_row(
    "asked",
    [
        ("GET", "/api/v1/drill", "drill-1-000001"),
        ("POST", "/api/v1/drill/stream", "drill-1-000001"),
        ("POST", "/api/v1/drill", "drill-1-000002"),
        ("POST", "/api/v1/drill drill-1", "000001"),
        ("POST", "/api/v1/drilldrill-1-", "000001"),  # the same characters in a row
    ],
)
def test_a_proof_holds_for_no_other_request(asked: tuple[str, str, str]) -> None:
    assert not seal().holds(PROOF, *asked)


@each_row(
    "proof",
    ["", "1", PROOF[:-1], PROOF.upper(), PROOF.replace("1 ", "2 ", 1), f"{PROOF} ", "1 99 " + "0" * 64],
)
def test_what_is_no_proof_is_refused(proof: str) -> None:
    assert not seal().holds(proof, *ASKED)


def test_a_proof_holds_for_no_other_body() -> None:
    assert not seal().holds(PROOF, *ASKED, b"{}")
    assert seal().holds(seal().proof(*ASKED, b"{}"), *ASKED, b"{}")


def test_another_stack_s_proof_is_refused() -> None:
    assert not seal(b"other").holds(PROOF, *ASKED)


def test_a_proof_for_years_is_refused_though_its_mac_is_right() -> None:
    made = seal(now=NOW + MOST_LIFE).proof(*ASKED)
    assert not seal().holds(made, *ASKED)
