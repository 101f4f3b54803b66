"""Recorded incidents, investigated by a real model: each ends by its deadline, whatever it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from techsapo_ops.catalogue.checks import checks
from techsapo_ops.incidents.bundle import Answer, material_json, read_answer, read_bundle
from techsapo_ops.incidents.verdict import RULES

DEADLINE = 120.0
"""Seconds of an investigation in the app's spec."""
HURRY = 5.0
"""Seconds that the other app leaves for it: too few for any model."""
INCIDENTS = Path(__file__).parents[1] / "incidents"
ASKED = (
    *sorted(path for path in (INCIDENTS / "unseen").iterdir() if path.is_dir()),
    *(
        INCIDENTS / "bundles" / name
        for name in (
            "mailer-halted-by-somebody",
            "charges-fail-payments-unread",
            "counter-of-orders-began-anew",
        )
    ),
)
"""The incidents by somebody who never saw the code, two that nobody can solve, and a false alarm."""


def investigated(url: str, hurried: str, say: Callable[[str], None]) -> tuple[str, list[str]]:
    """What became of the incidents, asked of the app at `url`, and what did not hold.

    The first is asked again of the app at `hurried`, which has no time. `say` is given each as it ends.
    """
    counts: dict[str, int] = {}
    times, broken = [], []
    for place, limit, path in ((hurried, HURRY, ASKED[0]), *((url, DEADLINE, path) for path in ASKED)):
        answer = read_answer(path)
        assert answer is not None, path
        body, took = _asked(place, path)
        judged, verdict = judge(body, answer), body["verdict"]["verdict"]
        if took > limit:
            broken.append(f"{path.name} took {took:.1f} s of {limit:.0f}")
        if any(check["argv"][0] != checks()[check["check"]].argv[0] for check in verdict["checks"]):
            broken.append(f"{path.name}: a check that is not listed")
        say(f"{took:6.1f} s of {limit:.0f}  {path.name}: {judged}; {_replies(body)}")
        if place == url:
            times.append(took)
            counts[judged] = counts.get(judged, 0) + 1
    tally = ", ".join(f"{number} {judged}" for judged, number in sorted(counts.items()))
    return f"of {len(times)}: {tally}; the longest took {max(times):.0f} s of {DEADLINE:.0f}", broken


def judge(body: Any, answer: Answer) -> str:
    """Whether a verdict is right, by rule, since a model never uses the recorded words.

    It is right about a fault if it blames the service and cites a decisive piece, about a false alarm if it
    calls it one and cites such a piece, and about what nobody can solve if it names no cause.
    """
    verdict = body["verdict"]["verdict"]
    outcome = verdict["outcome"]
    if outcome == "evidence_only":
        return "without a readable reply"
    if outcome == "not_enough_evidence":
        return "rightly refused" if answer.outcome == "unsolvable" else "wrongly refused"
    (cause, *_) = verdict["causes"]
    cited = [piece for piece in body["evidence"]["pieces"] if piece["id"] in cause["evidence"]]
    decisive = any(
        piece["kind"] == wanted.kind and text.casefold() in f"{piece['text']}\n{piece['sample']}".casefold()
        for piece in cited
        for wanted in answer.decisive
        for text in wanted.contains
    )
    alarm = (outcome == "false_alarm") is (answer.outcome == "false_alarm")
    blamed = answer.outcome == "false_alarm" or cause["service"].casefold() == answer.service
    right = answer.outcome != "unsolvable" and alarm and blamed and decisive
    return f"{'right' if right else 'wrong'}{' (a guess)' if outcome == 'guess' else ''}"


def _asked(url: str, path: Path) -> tuple[Any, float]:
    """The answer to a bundle, and the seconds that it took. Raises HTTPError."""
    sent = {"material": material_json(read_bundle(path))}
    began = time.monotonic()
    response = httpx.post(
        f"{url}/api/v1/incidents/investigate", json=sent, timeout=2 * DEADLINE, trust_env=False
    )
    took = time.monotonic() - began
    response.raise_for_status()
    return response.json(), took


def _replies(body: Any) -> str:
    """What the providers gave, and the first cause of one in its own words."""
    drawn = body["verdict"]
    verdict = drawn["verdict"]
    replies = [each for each in drawn["findings"] if each["member"] != RULES]
    parts = [f"{verdict['asked']} replies could be read", f"{verdict['invented']} causes weighed nothing"]
    parts += [f"{provider}: {why}" for provider, why in drawn["failed"]]
    causes = [claim["cause"] for each in replies for claim in each["claims"]]
    causes += [f"{cause} (weighs nothing)" for each in replies for cause in each["invented"]]
    return "; ".join((*parts, *causes[:1]))
