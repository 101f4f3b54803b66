"""How a provider's record and `techsapo providers test` look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.providers.try_provider import CheckName, Outcome, usd

if TYPE_CHECKING:
    from techsapo_ops.cli.output import Output
    from techsapo_ops.wallbounce.feedback.track_record import TrackRecord
    from techsapo_ops.wallbounce.providers.overview import ProviderTests
    from techsapo_ops.wallbounce.providers.try_provider import Tried

_COLUMNS = ("name", "state", "model", "schema", "seconds", "usd", "price", "retires")


def announcement(tests: ProviderTests) -> str:
    """Which providers get a question now, and what it costs at most."""
    asked = [candidate for candidate in tests.candidates if candidate.asked]
    if not asked:
        return msg("no provider is asked: a call to any of them could cost more than --at-most allows")
    whom = msg("{count} providers", count=len(asked)) if len(asked) > 1 else msg("{count} provider", count=1)
    dearest = max(candidate.worst for candidate in asked)
    each = msg("{usd} each, ", usd=usd(dearest)) if len(asked) > 1 else ""
    cost = (
        msg("at most {each}{usd} in total", each=each, usd=usd(tests.worst))
        if tests.worst
        else msg("which costs nothing")
    )
    return msg(
        "asking {whom} a small question, {cost}; the cost does not count towards the app's budgets",
        whom=whom,
        cost=cost,
    )


def say_tested(tried: Tried, out: Output) -> None:
    """A line for a provider that was tested."""
    worst = tried.worst
    if tried.outcome is Outcome.OK or worst is None:
        took = msg(" in {seconds:.1f} s", seconds=tried.seconds) if tried.seconds is not None else ""
        out.say(msg("{tried}: answered{took}", tried=tried.name, took=took))
    else:
        out.say(
            msg("{tried}: {outcome}: {detail}", tried=tried.name, outcome=tried.outcome, detail=worst.detail)
        )


def show(tests: ProviderTests, tested: list[Tried], out: Output) -> None:
    """A row for each provider, below it what somebody should know, and what it cost."""
    rows: list[tuple[str, ...]] = [
        (
            tried.name, str(tried.outcome), tried.model,
            _word(tried, "schema"), "" if tried.seconds is None else f"{tried.seconds:.1f}",
            f"{tried.cost_usd:.6f}", _price(tried),
            "" if tried.end is None else tried.end.isoformat(),
        )
        for tried in tested
        if not out.quiet or tried.outcome is Outcome.FAILED
    ]  # fmt: skip
    rows += [(name, "failed", *[""] * 6) for name in tests.unusable]
    if not out.quiet:
        rows += [(name, "skipped", *[""] * 6) for name in tests.left_out]
    if rows:
        out.table(_COLUMNS, rows, right=("seconds", "usd"))
    for tried in tested:
        for check in tried.checks:
            what = _WHAT[check.name]
            line = msg("{tried}: {what}: {detail}", tried=tried.name, what=what, detail=check.detail)
            unasked = check.name == "answer" and check.outcome is Outcome.SKIPPED
            if unasked or check.outcome in {Outcome.FAILED, Outcome.WARNING}:
                out.data(line)
                if check.remedy:
                    out.data(msg("  try: {remedy}", remedy=check.remedy))
            elif check.outcome is Outcome.SKIPPED:
                out.detail(line)
    for name, reason in tests.unusable.items():
        out.data(msg("{name}: {reason}", name=name, reason=reason))
    for name, reason in tests.left_out.items():
        out.say(msg("{name}: {reason}", name=name, reason=reason))
    if tested:
        out.data(_summary(tests, tested))
    if tested and all_well(tests, tested):
        out.next("techsapo up")


def all_well(tests: ProviderTests, tested: list[Tried]) -> bool:
    """Whether every provider that was to be tested answered, and none failed in anything."""
    return not tests.unusable and all(
        tried.answered and tried.outcome is not Outcome.FAILED for tried in tested
    )


_WHAT: dict[CheckName, str] = {"list": "model", "answer": "answer", "schema": "schema"}


def _word(tried: Tried, name: CheckName) -> str:
    return next((str(check.outcome) for check in tried.checks if check.name == name), "")


def _price(tried: Tried) -> str:
    price = tried.price
    if price is None:
        return ""
    return f"${price.input:g} / ${price.output:g} a million ({price.source})"


def _summary(tests: ProviderTests, tested: list[Tried]) -> str:
    asked = len(tested) + len(tests.unusable)
    answered = sum(tried.answered for tried in tested)
    cost = sum(tried.cost_usd for tried in tested)
    return msg(
        "{answered} of {asked} providers answered; total cost ${cost:.6f}",
        answered=answered,
        asked=asked,
        cost=cost,
    )


def tests_json(tests: ProviderTests, tested: list[Tried]) -> dict[str, Any]:
    """What --json prints."""
    return {
        "at_most_usd": round(tests.worst, 6),
        "cost_usd": round(sum(tried.cost_usd for tried in tested), 9),
        "providers": [_value(tried) for tried in tested],
        "unusable": [{"name": name, "reason": reason} for name, reason in tests.unusable.items()],
        "left_out": [{"name": name, "reason": reason} for name, reason in tests.left_out.items()],
    }


def _value(tried: Tried) -> dict[str, Any]:
    price, tokens = tried.price, tried.tokens
    return {
        "name": tried.name,
        "kind": tried.kind,
        "model": tried.model,
        "outcome": str(tried.outcome),
        "checks": [
            {
                "check": check.name,
                "outcome": str(check.outcome),
                "detail": check.detail,
                "remedy": check.remedy,
                "cause": None if check.cause is None else str(check.cause),
            }
            for check in tried.checks
        ],
        "price": None if price is None else {
            "input": price.input, "output": price.output, "known": price.known, "source": price.source,
        },
        "cost_usd": round(tried.cost_usd, 9),
        "tokens": {"input": tokens.input, "output": tokens.output, "thinking": tokens.thinking},
        "seconds": None if tried.seconds is None else round(tried.seconds, 3),
        "retires": None if tried.end is None else tried.end.isoformat(),
    }  # fmt: skip


def record_line(name: str, record: TrackRecord) -> str:
    """How often a provider's model dissents, and how often its answers were right."""
    dissents = msg(
        "{name}: dissents in {dissented} of {compared}",
        name=name, dissented=record.dissented, compared=record.compared,
    )  # fmt: skip
    if not record.judged:
        return dissents
    right, judged = record.right, record.judged
    return msg("{dissents}; right in {right:g} of {judged}", dissents=dissents, right=right, judged=judged)
