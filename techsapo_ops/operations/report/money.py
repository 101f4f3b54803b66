"""What the answers cost, and which were declined, by the audit log: whole days, by UTC."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, timedelta
from typing import Any

from techsapo_ops.catalogue.report import Words
from techsapo_ops.operations.report.section import Sources, named, some
from techsapo_ops.stores.audit.rows import Request

_CENT = 0.005
_MOST = 4


def cost(sources: Sources) -> tuple[list[str], dict[str, Any]]:
    """Cost by provider, beside that of the time before and the budget."""
    words, budget = sources.words, sources.stack.spec.budget
    this, before = _days(sources)
    asked = [r for r in sources.rows.requests if r.day in this]
    week = sum(r.cost_usd for r in asked)
    earlier = sum(r.cost_usd for r in sources.rows.requests if r.day in before)
    by: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for call in sources.rows.calls:
        if call.day in this or call.day in before:
            by[call.provider][call.day in before] += call.cost_usd
    simulated = sum(r.cost_usd for r in asked if r.simulated)
    counted = week if budget.count_simulated else week - simulated
    share = 100 * max(counted, 0.0) / budget.monthly_usd if budget.monthly_usd else 0.0
    lines = _spent(sources, len(asked), week, earlier)
    if asked or week >= _CENT:
        lines.append(words("budget", share=f"{share:.0f}", budget=_usd(budget.monthly_usd)))
    ranked = sorted(by.items(), key=lambda entry: -entry[1][0])
    shown = [
        words("provider", name=named(name), week=_usd(now), change=_change(words, now, then))
        for name, (now, then) in ranked
    ]
    if shown:
        lines.append(some(words, shown, _MOST))
    if simulated >= _CENT:
        lines.append(words("simulated", usd=_usd(simulated)))
    return lines, {
        "usd": round(week, 9),
        "usd_before": round(earlier, 9),
        "simulated_usd": round(simulated, 9),
        "questions": len(asked),
        "budget_share": round(share / 100, 6),
        "providers": {name: {"usd": round(a, 9), "usd_before": round(b, 9)} for name, (a, b) in ranked},
    }


def _spent(sources: Sources, questions: int, week: float, earlier: float) -> list[str]:
    """What was asked and paid, beside the time before; few words where nothing was."""
    words, (_, last) = sources.words, whole_days(sources)
    values = {"week": _usd(week), "before": _usd(earlier), "questions": questions, "last": last}
    if questions or week >= _CENT:
        return [words("cost", **values, change=_change(words, week, earlier))]
    return [words("cost_none_before" if earlier >= _CENT else "cost_none", **values)]


def declined(sources: Sources) -> tuple[list[str], dict[str, Any]]:
    """How many questions got no answer since none was sure enough."""
    this, _ = _days(sources)
    asked: list[Request] = [r for r in sources.rows.requests if r.day in this]
    count = sum(not r.accepted for r in asked)
    told = "declined" if asked else "declined_none"
    return [sources.words(told, count=count, answers=len(asked), last=whole_days(sources)[1])], {
        "declined": count,
        "answers": len(asked),
    }


def whole_days(sources: Sources) -> tuple[date, date]:
    """The first and the last of the whole days, by UTC, that the report is about."""
    today = sources.now.astimezone(UTC).date()
    return today - timedelta(days=sources.days), today - timedelta(days=1)


def _days(sources: Sources) -> tuple[frozenset[str], frozenset[str]]:
    """The days that the report is about, and as many before."""
    first, _ = whole_days(sources)
    return _from(first, sources.days), _from(first - timedelta(days=sources.days), sources.days)


def _from(first: date, count: int) -> frozenset[str]:
    return frozenset((first + timedelta(days=n)).isoformat() for n in range(count))


def _usd(amount: float) -> str:
    return f"{amount:.2f}"


def _change(words: Words, now: float, before: float) -> str:
    if _usd(now) == _usd(before):
        return words("same")
    if before < _CENT:
        return words("new")
    return f"{100 * (now - before) / before:+.0f}%"
