"""Alerts say only what their rule knows: tests/cases/alert_claims.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rows import each_row

from techsapo_ops.catalogue.alerts import Alert, alerts
from techsapo_ops.catalogue.pages import runbooks
from techsapo_ops.catalogue.yaml_text import read_yaml

FOUND = read_yaml((Path(__file__).parents[2] / "cases" / "alert_claims.yaml").read_text("utf-8"))
CLAIMS: dict[str, list[dict[str, str]]] = FOUND["claims"]
PHRASES = {lang: re.compile(text, re.IGNORECASE) for lang, text in FOUND["phrases"].items()}
HEDGES = {lang: re.compile(text, re.IGNORECASE) for lang, text in FOUND["hedges"].items()}
SENTENCES = {"en": re.compile(r"(?<=[.;])\s+"), "ja": re.compile(r"(?<=。)")}
BOTH = [(alert, hosts > 0) for hosts in (0, 3) for alert in alerts(hosts=hosts).values()]


def texts(alert: Alert, lang: str) -> list[str]:
    return [alert.summary[lang], alert.description[lang], runbooks()[alert.name].meaning(lang)]


def claiming(alert: Alert, lang: str) -> Iterator[str]:
    """The sentences that claim something of others, and not as a possibility or under a condition."""
    for text in texts(alert, lang):
        for sentence in SENTENCES[lang].split(text):
            if PHRASES[lang].search(sentence) and not HEDGES[lang].search(sentence):
                yield sentence


def unproved(alert: Alert, several: bool, claims: list[dict[str, str]]) -> list[str]:
    """What the texts claim without an entry, and the entries whose ground is not there."""
    expr = " ".join(
        alert.expression(
            machines=3 if several or alert.machines else 0, floating="192.0.2.1", jobs=("a",)
        ).split()
    )
    found = []
    for lang in PHRASES:
        said = [claim[lang] for claim in claims if lang in claim]
        found += [s for s in claiming(alert, lang) if not any(words in s for words in said)]
    for claim in claims:
        if "holds" in claim and not any(
            claim.get(lang, "\n") in t for lang in PHRASES for t in texts(alert, lang)
        ):
            continue  # of the other kind of stack
        if "holds" in claim and " ".join(claim["holds"].split()) not in expr:
            found.append(f"{claim['holds']} is not in its expression")
        if "mutes" in claim and alert.name not in alerts()[claim["mutes"]].muted_by:
            found.append(f"it does not mute {claim['mutes']}")
        if not {"holds", "mutes"} & set(claim):
            found.append(f"{claim} names no ground")
    return found


@each_row("alert, several", BOTH, ids=[f"{a.name}, {'several hosts' if s else 'one'}" for a, s in BOTH])
def test_an_alert_claims_only_what_a_condition_of_its_rule_makes_true(alert: Alert, several: bool) -> None:
    assert unproved(alert, several, CLAIMS.get(alert.name, [])) == []


def test_no_claim_is_left_over_whose_words_are_gone() -> None:
    for name, claims in CLAIMS.items():
        assert claims, name
        said = [text for a, _ in BOTH if a.name == name for lang in PHRASES for text in texts(a, lang)]
        for claim in claims:
            for lang in PHRASES.keys() & claim.keys():
                assert any(claim[lang] in text for text in said), (name, claim[lang])


@each_row(
    "lang, text",
    [
        ("en", "Calls fail. Other providers go on answering."),
        ("ja", "失敗しています。ほかのプロバイダーで回答を続けています。"),
    ],
)
def test_a_claim_without_a_ground_is_found(lang: str, text: str) -> None:
    alert = alerts()["ProviderDown"]
    assert unproved(alert.of_stack(hosts=0), False, []) == []
    assert len(unproved(replace(alert, description={**alert.description, lang: text}), False, [])) == 1


def test_a_ground_that_is_not_in_the_expression_is_found() -> None:
    (claim, *_) = CLAIMS["SamplesNotStored"]
    lost = [{**claim, "holds": "techsapo_provider_up == 0"}]
    assert unproved(alerts()["SamplesNotStored"], False, lost) == [
        "techsapo_provider_up == 0 is not in its expression"
    ]
