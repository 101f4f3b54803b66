"""An answer of the orchestrator on a terminal: the text, the scores, the dissent, each provider's part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from techsapo_ops.cli.output import console
from techsapo_ops.wallbounce.causes import FailureKind, advice_on

_SHORT = 160
"""Characters of each provider's own answer that are shown; --json has them whole."""

_NOTES = {
    "sole_answer": "only one provider answered, so nothing could be compared",
    "consensus_below_threshold": "the answers agree less than the threshold asks for",
    "confidence_below_threshold": "confidence is below the threshold",
    "fewer_providers_than_the_tier_asks_for": "fewer providers than this tier asks for",
    "cost_is_a_worst_case": "a price is not known; the cost is an upper bound",
    "split": "two answers differ; nothing says which is right",
    "not_compared": "grades are missing, so it could not be compared: neither agreement nor dissent",
    "not_graded": "no provider scored this answer",
    "answer_revised": "it was revised after it was sent back; the consensus is that of the answers before",
    "grade_below_threshold": "the other providers graded the answer too low",
    "critical_claim_contradicted": "more peers contradict its main claim than hold it",
    "destructive_not_unanimous": "it cannot be undone and not every provider proposes it",
    "answer_addresses_graders": "the answer tries to tell its graders what to do",
    "grading_incomplete": "some grades are missing, also when asked for again; they count for nothing",
    "refused_low_confidence": "refused: too unsure even with every provider that could be asked",
    "refused_for_budget": "refused: another provider is needed and the budget does not allow it",
    "refused_too_few_providers": "refused: fewer than two providers are healthy",
    "not_heard_higher_up": "it cannot be undone, and no further provider could be asked about it",
    "out_of_time": "there was no time left to ask another provider",
}


def show_answer(body: Mapping[str, Any]) -> None:
    """Print an answer's document (see AnswerBody)."""
    out = console()
    out.print(Text(body["answer"]), soft_wrap=True)  # the terminal wraps: a command in it can be copied whole
    out.print()
    show_examination(body)


def show_examination(body: Mapping[str, Any]) -> None:
    """Print the scores, the notes, the dissent and each provider's part of an answer's document."""
    out = console()
    needs = body["thresholds"]
    scores = Table.grid(padding=(0, 3, 0, 0))
    for name in ("confidence", "consensus"):
        scores.add_row(name, score(body[name]), Text(f"needs {needs[name]:.2f}", style="dim"))
    refused = body.get("outcome") == "refused"
    accepted = Text("yes", style="green") if body["accepted"] else Text("no", style="yellow")
    if refused:
        accepted = Text("refused", style="red")
    fitted = "calibrated" if body["calibrated"] else "provisional: scores are not calibrated"
    scores.add_row("accepted", accepted, Text(fitted, style="dim"))
    cached = "from the cache" if body["cache"] == "hit" else f"{body['processing_ms'] / 1000:.2f} s"
    scores.add_row("cost", f"${body['cost_usd']:.6f}", Text(cached, style="dim"))
    out.print(scores)
    for line in _danger(body):
        out.print(Text(f"destructive  {line}", style="bold red"), soft_wrap=True)
    for line in _danger(body, "hazards"):
        out.print(Text(f"hazard       {line}", style="bold yellow"), soft_wrap=True)
    for effect, command in _commands(body):
        style = "green" if effect == "only reads" else "yellow"
        out.print(Text(f"command      {command} : {effect}", style=style), soft_wrap=True)
    for note in body["notes"]:
        out.print(Text(f"note         {_NOTES.get(note, note)}", style="yellow"))
    for title, line in _history(body):
        out.print(Text(f"{title:<12} {line}", style="dim"))
    out.print()
    table = Table.grid(padding=(0, 3, 0, 0))
    for provider in body["providers"]:
        state = "answered" if provider["status"] == "answered" else f"failed: {_why(provider['error'])}"
        table.add_row(
            provider["name"],
            provider["model"],
            Text(state, style="" if provider["status"] == "answered" else "yellow"),
            Text(f"{provider['seconds']:.2f} s", justify="right"),
            Text(f"${provider['cost_usd']:.6f}", justify="right"),
            Text(_graded(provider, body.get("answered_by")), style="dim"),
        )
    out.print(table)
    for line in _to_do(body):
        out.print(Text(f"to do        {line}", style="yellow"), soft_wrap=True)
    for provider in body["providers"]:
        if provider.get("answer"):
            out.print()
            head = Text(f"{provider['name']}:", style="bold")
            out.print(head, Text(_shortened(provider["answer"])), soft_wrap=True)
    open_ = [("dissent", line) for line in _dissent(body)]
    open_ += [("unsettled", line) for line in _unsettled(body)]
    if open_:
        out.print()
    for title, line in open_:
        out.print(Text(f"{title:<12} {line}", style="yellow"), soft_wrap=True)
    if body["simulated"]:
        out.print()
        out.print(
            Text("simulated: these answers come from simulated providers, not from a model", style="yellow")
        )


def _to_do(body: Mapping[str, Any]) -> list[str]:
    """What to do about the providers whose failures don't pass by themselves."""
    told = []
    for provider in body["providers"]:
        said = advice_on(provider["error"].get("cause")) if provider.get("error") else None
        if said is not None and said.kind is FailureKind.REFUSED:
            told.append(f"{provider['name']}: {said.do}")
    return told


def _why(error: Mapping[str, Any]) -> str:
    """What was the matter; the kind alone where the app is of before 0.2.0."""
    said = advice_on(error.get("cause"))
    return str(error["kind"]) if said is None else said.what


def _graded(provider: Mapping[str, Any], answered_by: str | None) -> str:
    if provider["status"] != "answered" or "agrees" not in provider:
        return ""
    stands = {True: "agrees", False: "dissents", None: "not compared"}[provider["agrees"]]
    stands = "chosen" if provider["name"] == answered_by else stands
    grade = provider.get("grade")
    return stands if grade is None else f"graded {grade:.2f}, {stands}"


def score(value: float | None) -> str:
    """A score; a dash where nobody gave one."""
    return "–" if value is None else f"{value:.2f}"


def _shortened(answer: str) -> str:
    line = " ".join(answer.split())
    return line if len(line) <= _SHORT else f"{line[: _SHORT - 1]}…"


def _dissent(body: Mapping[str, Any]) -> list[str]:
    return [
        f"{d['provider']}: {d['root_cause']} (graded {score(d['grade'])})" for d in body.get("dissent", ())
    ]


def _unsettled(body: Mapping[str, Any]) -> list[str]:
    return [
        f"{u['claim']} (contradicted by {', '.join(a['provider'] for a in u['against'])})"
        for u in body.get("unsettled", ())
    ]


def _danger(body: Mapping[str, Any], which: str = "destructive") -> list[str]:
    return [" : ".join(filter(None, (d["command"], d["why"]))) for d in body.get(which, ())]


def _commands(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each command that is no danger of the lines above; what is not known is said to be unknown."""
    told = ("destructive", "runs_remote_code", "weakens_security", "stops_a_service")
    return [
        ("only reads" if c["effect"] == "reads_only" else "unknown, may not be safe", c["command"])
        for c in body.get("command_effects", ())
        if c["effect"] not in told
    ]


def _history(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = body.get("masked", {})
    told = ", ".join(f"{kind.replace('_', ' ')} ({number})" for kind, number in found.items())
    masked = [("masked", f"{told}: the vendors did not get what you wrote there")] if found else []
    bounced = [
        (
            "bounced",
            f"{b['provider']}, round {b['round']}: {len(b['claims'])} contested, "
            f"graded {score(b['before'])} → "
            f"{'nothing' if b['after'] is None else format(b['after'], '.2f')}, "
            f"{'revised' if b['kept'] else 'kept as it was'}",
        )
        for b in body.get("bounces", ())
    ]
    escalated = [
        ("escalated", f"to {e['tier']} ({e['reason']}): {', '.join(e['providers'])} joined blind")
        for e in body.get("escalations", ())
    ]
    return masked + bounced + escalated
