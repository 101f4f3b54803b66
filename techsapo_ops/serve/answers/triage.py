"""From a log to a question, and from the answer to a triage: category, severity, cause, steps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from techsapo_ops.catalogue.dangers import Effect
from techsapo_ops.catalogue.yaml_text import packaged_yaml
from techsapo_ops.serve.bodies.base import Document
from techsapo_ops.wallbounce.examination.claims import sentences
from techsapo_ops.wallbounce.question import Composed, Language, Passage
from techsapo_ops.wallbounce.verdict.commands import dangerous

LOW, UNKNOWN = "low", "unknown"
MAX_STEPS = 12
_SAME = ("confidence", "accepted", "outcome", "simulated", "cost_usd", "cache")
"""What a triage has from its answer as it is."""
_MARKS: Mapping[Language, Mapping[Effect, str]] = {
    "ja": {
        Effect.DESTRUCTIVE: "【元に戻せません】",
        Effect.RUNS_REMOTE_CODE: "【外部のコードを実行します】",
        Effect.WEAKENS_SECURITY: "【セキュリティを弱めます】",
        Effect.STOPS_A_SERVICE: "【サービスを停止します】",
    },
    "en": {
        Effect.DESTRUCTIVE: "[cannot be undone] ",
        Effect.RUNS_REMOTE_CODE: "[runs code from elsewhere] ",
        Effect.WEAKENS_SECURITY: "[weakens security] ",
        Effect.STOPS_A_SERVICE: "[stops a service] ",
    },
}
_ASK: Mapping[Language, str] = {
    "ja": "次のログの根本原因を特定し、確認手順と対処手順を番号付きで示してください。",
    "en": "Find the root cause of the following log, and give numbered steps to confirm and to fix it.",
}
_CONFIRM: Mapping[Language, str] = {
    "ja": "原因かどうかを確認：{cause}",
    "en": "Find out whether this is the cause: {cause}",
}
_NUMBERED = re.compile(r"^\s*(?:\d{1,2}[.)．、]|[-*・•])\s*(.+)$", re.MULTILINE)


@cache
def _patterns() -> tuple[dict[str, tuple[re.Pattern[str], ...]], dict[str, tuple[re.Pattern[str], ...]]]:
    table = packaged_yaml("triage.yaml", "techsapo_ops.serve")

    def compiled(section: Mapping[str, Sequence[str]]) -> dict[str, tuple[re.Pattern[str], ...]]:
        return {name: tuple(re.compile(p, re.IGNORECASE) for p in words) for name, words in section.items()}

    return compiled(table["categories"]), compiled(table["severities"])


def category_of(log: str) -> str:
    """What the log is about: the category of which most patterns match, or unknown."""
    hits = {name: sum(bool(p.search(log)) for p in patterns) for name, patterns in _patterns()[0].items()}
    best = max(hits, key=lambda name: hits[name])
    return best if hits[best] else UNKNOWN


def severity_of(log: str) -> str:
    """critical, high, medium or low: the first whose patterns match."""
    levels = _patterns()[1].items()
    return next((name for name, patterns in levels if any(p.search(log) for p in patterns)), LOW)


def prompt_of(user_command: str, error_output: str, system_context: str, language: Language) -> Composed:
    """The question about a log; what was sent is material, apart from what is asked."""
    parts = [Passage("", _ASK[language])]
    for name, text in (
        ("user_command", user_command),
        ("error_output", error_output),
        ("system_context", system_context),
    ):
        if text.strip():
            parts.append(Passage(name, text))
    return Composed(tuple(parts))


def triage(answer: Document, log: str) -> Document:
    """What `answer` says of `log`, as TriageBody tells of it; the answer itself is in it under `analysis`."""
    own = _own_text(answer)
    steps = _open_causes(answer) if answer["outcome"] == "refused" else _steps(answer, own)
    return {
        "request_id": answer["request_id"],
        "problem_category": category_of(log),
        "severity": severity_of(log),
        "root_cause": answer["root_cause"] or next(iter(sentences(own)), ""),
        "solution_steps": steps[:MAX_STEPS],
        **{name: answer[name] for name in _SAME},
        "analysis": answer,
    }


def _own_text(answer: Document) -> str:
    """The chosen provider's words: the integrated text lists objections and other views too, no steps."""
    answered = (p.get("answer") for p in answer["providers"] if p["name"] == answer["answered_by"])
    return str(next(answered, answer["answer"]) or "")


def _steps(answer: Document, own: str) -> list[str]:
    """The numbered lines of the chosen answer or else its sentences, what others added, and commands unnamed.

    A dangerous step says so itself: whoever reads the list alone must not miss it.
    """
    steps = [s for m in _NUMBERED.findall(own) if (s := m.strip())] or list(sentences(own))
    steps += [a["claim"] for a in answer["amendments"]]
    steps += [c for c in answer["commands"] if not any(c in s for s in steps)]
    language: Language = answer["language"]
    return [_mark(s, language) + s for s in steps]


def _mark(step: str, language: Language) -> str:
    """What stands before a step: the worst danger recognised in it. Nothing there promises nothing."""
    effects = {e for d in dangerous(step, language) for e in d.effects}
    return next((mark for effect, mark in _MARKS[language].items() if effect in effects), "")


def _open_causes(answer: Document) -> list[str]:
    """Of a refusal: each cause that is left open, to be confirmed. No command: nobody has checked any."""
    return list(
        dict.fromkeys(_CONFIRM[answer["language"]].format(cause=h["cause"]) for h in answer["hypotheses"])
    )
