"""From a log to a question, and from the answer to a triage: category, severity, cause, steps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

LOW, UNKNOWN = "low", "unknown"
MAX_STEPS = 12
_NUMBERED = re.compile(r"^\s*(?:\d{1,2}[.)．、]|[-*・•])\s*(.+)$", re.MULTILINE)
_SENTENCE = re.compile(r"[^。.!?！？\n]+[。.!?！？]?")


@cache
def _patterns() -> tuple[dict[str, tuple[re.Pattern[str], ...]], dict[str, tuple[re.Pattern[str], ...]]]:
    text = (files("techsapo_ops.serve") / "triage.yaml").read_text(encoding="utf-8")
    found = yaml.safe_load(text)

    def compiled(section: Mapping[str, Sequence[str]]) -> dict[str, tuple[re.Pattern[str], ...]]:
        return {name: tuple(re.compile(p, re.IGNORECASE) for p in words) for name, words in section.items()}

    return compiled(found["categories"]), compiled(found["severities"])


def categories() -> tuple[str, ...]:
    """Every problem category."""
    return (*_patterns()[0], UNKNOWN)


def category_of(log: str) -> str:
    """What the log is about: the category of which most patterns match, or unknown."""
    hits = {name: sum(bool(p.search(log)) for p in patterns) for name, patterns in _patterns()[0].items()}
    best = max(hits, key=lambda name: hits[name])
    return best if hits[best] else UNKNOWN


def severity_of(log: str) -> str:
    """critical, high, medium or low: the first whose patterns match."""
    levels = _patterns()[1].items()
    return next((name for name, patterns in levels if any(p.search(log) for p in patterns)), LOW)


def prompt_of(user_command: str, error_output: str, system_context: str) -> str:
    """The question about a log; what was sent stands between marks, as data."""
    japanese = re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", user_command + system_context + error_output)
    ask = (
        "次のログの根本原因を特定し、確認手順と対処手順を番号付きで示してください。"
        if japanese
        else "Find the root cause of the following log, and give numbered steps to confirm and to fix it."
    )
    parts = [ask]
    for name, text in (
        ("user_command", user_command),
        ("error_output", error_output),
        ("system_context", system_context),
    ):
        if text.strip():
            parts.append(f"<{name}>\n{text.strip()}\n</{name}>")
    return "\n\n".join(parts)


def triage(answer: Mapping[str, Any], log: str) -> dict[str, Any]:
    """The document of /api/v1/analyze-logs; the answer's own document is in it under `analysis`."""
    text = str(answer["answer"])
    steps = [m.strip() for m in _NUMBERED.findall(text)] or [s.strip() for s in _SENTENCE.findall(text)]
    steps = [s for s in steps if s]
    steps += [c for c in answer["commands"] if not any(c in s for s in steps)]
    first = next((s.strip() for s in _SENTENCE.findall(text) if s.strip()), "")
    return {
        "request_id": answer["request_id"],
        "problem_category": category_of(log),
        "severity": severity_of(log),
        "root_cause": answer["root_cause"] or first,
        "solution_steps": steps[:MAX_STEPS],
        "confidence": answer["confidence"],
        "accepted": answer["accepted"],
        "outcome": answer["outcome"],
        "simulated": answer["simulated"],
        "cost_usd": answer["cost_usd"],
        "cache": answer["cache"],
        "analysis": dict(answer),
    }
