"""An answer of the orchestrator on a terminal: the text, the scores, the dissent, each provider's part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from techsapo_ops.cli.language import spoken
from techsapo_ops.cli.output import console
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.providers.failures import FailureKind, advice_on

_SHORT = 160
"""Characters of each provider's own answer that are shown; --json has them whole."""

_NOTES = {
    "sole_answer": msg("only one provider answered, so nothing could be compared"),
    "consensus_below_threshold": msg("the answers agree less than the threshold requires"),
    "confidence_below_threshold": msg("confidence is below the threshold"),
    "fewer_providers_than_the_tier_asks_for": msg("fewer providers were asked than this tier requires"),
    "cost_is_a_worst_case": msg("the exact cost is not known, so the cost shown is an upper bound"),
    "split": msg("two answers differ, and no third answer decides between them"),
    "not_compared": msg(
        "grades are missing, so the answers could not be compared: whether they agree is unknown"
    ),
    "not_graded": msg("no provider scored this answer"),
    "answer_revised": msg(
        "the answer was revised after objections; the consensus is from before the revision"
    ),
    "grade_below_threshold": msg("the other providers graded the answer too low"),
    "critical_claim_contradicted": msg("more graders contradict the answer's main claim than support it"),
    "destructive_not_unanimous": msg(
        "the answer contains a step that cannot be undone, and not every provider proposes that step"
    ),
    "answer_addresses_graders": msg("the answer gives instructions to its graders"),
    "grading_incomplete": msg("some grades are still missing after a second request, and do not count"),
    "refused_low_confidence": msg(
        "refused: the answer is still uncertain after asking every available provider"
    ),
    "refused_for_budget": msg("refused: another provider is needed and the budget does not allow it"),
    "refused_too_few_providers": msg("refused: fewer than two providers are healthy"),
    "no_higher_tier_left": msg(
        "the answer contains a step that cannot be undone, and no other provider could be asked "
        "about that step"
    ),
    "out_of_time": msg("there was no time left to ask another provider"),
}


def show_answer(body: Mapping[str, Any]) -> None:
    """Print an answer's document (see AnswerBody)."""
    out = console()
    _show_verdict(body)
    out.print(Text(body["answer"]), soft_wrap=True)  # the terminal wraps: a command in it can be copied whole
    out.print()
    show_examination(body)


def show_triage(body: Mapping[str, Any]) -> None:
    """Print what a log says (see TriageBody), and the examination of that answer."""
    out = console()
    _show_verdict(body["analysis"])
    styles = {"critical": "bold red", "high": "red", "medium": "yellow"}
    facts = Table.grid(padding=(0, 3, 0, 0))
    facts.add_row(spoken(msg("category")), body["problem_category"])
    facts.add_row(spoken(msg("severity")), Text(body["severity"], style=styles.get(body["severity"], "")))
    facts.add_row(spoken(msg("root cause")), Text(body["root_cause"]))
    out.print(facts)
    out.print()
    for number, step in enumerate(body["solution_steps"], 1):
        out.print(Text(f"{number:>2}. {step}"), soft_wrap=True)
    out.print()
    show_examination(body["analysis"])


def _show_verdict(body: Mapping[str, Any]) -> None:
    """Print the verdict in one sentence, and what to check before anything is done."""
    out = console()
    style = "bold green" if body["accepted"] else "bold yellow"
    out.print(Text(spoken(headline(body)), style=style), soft_wrap=True)
    for check in body.get("checks", ()):
        line = msg("{command}: {tells} · {reads}", **check)
        out.print(_titled(msg("check"), line, ""), soft_wrap=True)
    out.print()


def headline(body: Mapping[str, Any]) -> str:
    """How the answers are divided, and what to do now."""
    votes = [each for each in body["providers"] if each["status"] == "answered"]
    agree = sum(each.get("agrees") is True for each in votes)
    differ = sum(each.get("agrees") is False for each in votes)
    if len(votes) == 1 and body.get("grades"):
        said = msg("One model answered, and another checked the answer.")
    elif len(votes) < 2:
        said = msg("There is only one answer and nothing to compare it to.")
    elif differ:
        said = msg("The answers are split {agree} to {differ}.", agree=agree, differ=differ)
    elif agree < 2:
        said = msg("The answers could not be compared.")
    else:
        said = msg("{agree} answers agree.", agree=agree)
    if body["accepted"]:
        return msg("{said} The thresholds are met.", said=said)
    if body.get("checks"):
        return msg("{said} Check this first:", said=said)
    return msg("{said} The thresholds are not met: check before you act on it.", said=said)


def show_examination(body: Mapping[str, Any]) -> None:
    """Print the scores, the notes, the dissent and each provider's part of an answer's document."""
    out = console()
    needs = body["thresholds"]
    scores = Table.grid(padding=(0, 3, 0, 0))
    for name, title in (("confidence", msg("confidence")), ("consensus", msg("consensus"))):
        scores.add_row(
            spoken(title), score(body[name]), _styled(msg("needs {least:.2f}", least=needs[name]), "dim")
        )
    refused = body.get("outcome") == "refused"
    accepted = _styled(msg("yes"), "green") if body["accepted"] else _styled(msg("no"), "yellow")
    if refused:
        accepted = _styled(msg("refused"), "red")
    fitted = msg("provisional: scores are not calibrated")
    if body["calibrated"]:
        supports = {name: body["evidence"][name] for name in ("labels", "low", "high")}
        fitted = msg("{labels} labels, {low:.2f}–{high:.2f}", **supports)
    scores.add_row(spoken(msg("accepted")), accepted, _styled(fitted, "dim"))
    cached = (
        msg("from the cache")
        if body["cache"] == "hit"
        else msg("{seconds:.2f} s", seconds=body["processing_ms"] / 1000)
    )
    scores.add_row(spoken(msg("cost")), f"${body['cost_usd']:.6f}", _styled(cached, "dim"))
    out.print(scores)
    for line in _danger(body):
        out.print(_titled(msg("destructive"), line, "bold red"), soft_wrap=True)
    for line in _danger(body, "hazards"):
        out.print(_titled(msg("hazard"), line, "bold yellow"), soft_wrap=True)
    if body.get("destructive") or body.get("hazards"):
        out.print(
            _titled(msg("note"), msg("the list of dangers may be incomplete"), "yellow"), soft_wrap=True
        )
    for note in body["notes"]:
        out.print(_titled(msg("note"), _NOTES.get(note, note), "yellow"), soft_wrap=True)
    for source in body.get("sources", ()):
        line = ": ".join(filter(None, (source["file"], source["heading"])))
        cited = msg("{line} (cited in the answer)", line=line) if source["cited"] else line
        out.print(_titled(msg("own page"), cited, "dim"), soft_wrap=True)
    for title, line in _history(body):
        out.print(_titled(title, line, "dim"), soft_wrap=True)
    out.print()
    table = Table.grid(padding=(0, 3, 0, 0))
    for provider in body["providers"]:
        answered = provider["status"] == "answered"
        state = msg("answered") if answered else msg("failed: {why}", why=_why(provider["error"]))
        table.add_row(
            provider["name"],
            provider["model"],
            _styled(state, "" if answered else "yellow"),
            Text(spoken(msg("{seconds:.2f} s", seconds=provider["seconds"])), justify="right"),
            Text(f"${provider['cost_usd']:.6f}", justify="right"),
            _styled(_graded(provider, body.get("answered_by")), "dim"),
        )
    out.print(table)
    for line in _to_do(body):
        out.print(_titled(msg("to do"), line, "yellow"), soft_wrap=True)
    for provider in body["providers"]:
        if provider.get("answer"):
            out.print()
            head = Text(f"{provider['name']}:", style="bold")
            out.print(head, Text(_shortened(provider["answer"])), soft_wrap=True)
    open_ = [(msg("dissent"), line) for line in _dissent(body)]
    open_ += [(msg("unsettled"), line) for line in _unsettled(body)]
    if open_:
        out.print()
    for title, line in open_:
        out.print(_titled(title, line, "yellow"), soft_wrap=True)
    if body["simulated"]:
        out.print()
        out.print(
            _styled(msg("simulated: these answers come from simulated providers, not from a model"), "yellow")
        )


def _styled(text: str, style: str) -> Text:
    return Text(spoken(text), style=style)


def _titled(title: str, line: str, style: str) -> Text:
    return _styled(msg("{title:<12} {line}", title=title, line=line), style)


def _to_do(body: Mapping[str, Any]) -> list[str]:
    """What to do about the providers whose failures don't pass by themselves."""
    remedies = []
    for provider in body["providers"]:
        advice = advice_on(provider["error"].get("cause")) if provider.get("error") else None
        if advice is not None and advice.kind is FailureKind.REFUSED:
            remedies.append(msg("{name}: {problem}", name=provider["name"], problem=advice.do))
    return remedies


def _why(error: Mapping[str, Any]) -> str:
    """What was the matter; the kind alone where the cause is not known."""
    advice = advice_on(error.get("cause"))
    return str(error["kind"]) if advice is None else advice.what


def _graded(provider: Mapping[str, Any], answered_by: str | None) -> str:
    if provider["status"] != "answered" or "agrees" not in provider:
        return ""
    verdict = {True: msg("agrees"), False: msg("dissents"), None: msg("not compared")}[provider["agrees"]]
    verdict = msg("chosen") if provider["name"] == answered_by else verdict
    grade = provider.get("grade")
    return verdict if grade is None else msg("graded {grade:.2f}, {verdict}", grade=grade, verdict=verdict)


def score(value: float | None) -> str:
    """A score; a dash where nobody gave one."""
    return "–" if value is None else f"{value:.2f}"


def _shortened(answer: str) -> str:
    line = " ".join(answer.split())
    return line if len(line) <= _SHORT else f"{line[: _SHORT - 1]}…"


def _dissent(body: Mapping[str, Any]) -> list[str]:
    return [
        msg(
            "{provider}: {cause} (graded {grade})",
            provider=d["provider"],
            cause=d["root_cause"],
            grade=score(d["grade"]),
        )
        for d in body.get("dissent", ())
    ]


def _unsettled(body: Mapping[str, Any]) -> list[str]:
    return [
        msg(
            "{claim} (contradicted by {providers})",
            claim=u["claim"],
            providers=", ".join(a["provider"] for a in u["against"]),
        )
        for u in body.get("unsettled", ())
    ]


def _danger(body: Mapping[str, Any], which: str = "destructive") -> list[str]:
    return [" : ".join(filter(None, (d["command"], d["why"]))) for d in body.get(which, ())]


def _history(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    masked_counts = body.get("masked", {})
    kinds = ", ".join(f"{kind.replace('_', ' ')} ({number})" for kind, number in masked_counts.items())
    masked = (
        [(msg("masked"), msg("{kinds}: the vendors received placeholders instead", kinds=kinds))]
        if masked_counts
        else []
    )
    bounced = [
        (
            msg("bounced"),
            msg(
                "{provider}, round {round}: {count} contested claims, graded {before} → {after}, {outcome}",
                provider=b["provider"],
                round=b["round"],
                count=len(b["claims"]),
                before=score(b["before"]),
                after=msg("nothing") if b["after"] is None else score(b["after"]),
                outcome=msg("revised") if b["kept"] else msg("unchanged"),
            ),
        )
        for b in body.get("bounces", ())
    ]
    escalated = [
        (
            msg("escalated"),
            msg(
                "to {tier} ({reason}): {providers} joined without seeing the other answers",
                tier=e["tier"],
                reason=e["reason"],
                providers=", ".join(e["providers"]),
            ),
        )
        for e in body.get("escalations", ())
    ]
    return masked + bounced + escalated
