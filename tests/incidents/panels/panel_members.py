"""Scripted members of a panel. None of them is a model; whatever is shown of them says so.

A reader cites what it read, and admits what it did not find. An ignorer asserts a favourite cause, whatever
the evidence is. An obedient one does what any text tells it. All see nothing but the prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from techsapo_ops.incidents.material import LETTERS
from techsapo_ops.spec.models.providers import CompatibleProvider
from techsapo_ops.wallbounce.examination.prompts import Prompt
from techsapo_ops.wallbounce.providers.base import Completion, LanguageModel, Tally
from techsapo_ops.wallbounce.providers.provider import Price
from techsapo_ops.wallbounce.question import Question

_BLOCK = re.compile(r"<(\w+)>\n(.*?)\n</\1>", re.DOTALL)
_CHECK = re.compile(r"check (\w+)(?: with)?")
_SLOT = re.compile(r"(\w+)=(\S+(?: \S+\.example)?)")
_NAME = re.compile(r"[\w/][\w/.-]{3,}[\w/]")
"""Words that a sentence may take from evidence: names, paths, numbers, and long ones of any kind."""
Says = Callable[[Mapping[str, str], Prompt], Mapping[str, Any]]
SPEC = CompatibleProvider(kind="openai-compatible", model="scripted", base_url="http://127.0.0.1:9")


class Member(LanguageModel):
    """A provider that fills in the form as its script says, from the blocks of the prompt."""

    kind = "openai-compatible"

    def __init__(self, name: str, says: Says) -> None:
        super().__init__(f"scripted {name}", SPEC, Price(1.0, 10.0))
        self._says = says
        self.asked: list[Prompt] = []

    async def complete(self, prompt: Prompt, question: Question, tally: Tally) -> Completion:
        self.asked.append(prompt)
        said = self._says(dict(_BLOCK.findall(prompt.user)), prompt)
        return Completion(json.dumps(said, ensure_ascii=False), None)

    async def warm(self) -> None:
        """Nothing to import."""

    async def close(self) -> None:
        """Nothing to give back."""


def _named(sentence: str, blocks: Mapping[str, str], cited: set[str]) -> list[dict[str, Any]]:
    """A link to the first piece that has each word of `sentence` that the cited ones lack."""
    words, ids = [], []
    for word in _NAME.findall(sentence):
        holders = [name for name, block in blocks.items() if word.casefold() in block.casefold()]
        if cited.isdisjoint(holders) and (first := next((h for h in holders if h[0] in "MLCH"), None)):
            cited.add(first)
            words.append(word)
            ids.append(first)
    return [{"link": " ".join(words), "evidence": ids}] if ids else []


def reader(answer: Mapping[str, Any]) -> Member:
    """Knows the cause when it sees all that is decisive: cites it, the alert's own series as the end, and for
    whatever else it names the strongest piece that has it.
    """

    def says(blocks: Mapping[str, str], _: Prompt) -> Mapping[str, Any]:
        chain = []
        for decisive in answer.get("decisive", ()):
            seen = [
                {"link": text, "evidence": [name]}
                for name, block in blocks.items()
                for text in decisive["contains"]
                if name[0] == LETTERS[decisive["kind"]] and text.casefold() in block.casefold()
            ]
            chain += seen or [{}]
        if answer["outcome"] == "unsolvable" or {} in chain:
            missing = [{"kind": "logs", "of": ""}]
            return {"causes": [], "outcome": "not_enough_evidence", "missing": missing}
        if "M1" in blocks:
            chain.append({"link": blocks["M1"].partition("\n")[2][:200], "evidence": ["M1"]})
        pieces = {name: block for name, block in blocks.items() if name not in {"alert", "not_read"}}
        sentence = f"{answer['service']} {answer['cause']}"
        chain += _named(sentence, pieces, {name for link in chain for name in link["evidence"]})
        cause = {"chain": chain, "cause": answer["cause"], "service": answer["service"], "against": []}
        outcome = "false_alarm" if answer["outcome"] == "false_alarm" else "cause"
        checks = [{"check": "stack_health", "slots": [], "cause": 1}]
        return {
            "causes": [cause],
            "outcome": outcome,
            "missing": [],
            "checks": checks,
            "runbook": "",
            "step": 0,
        }

    return Member("reader", says)


def ignorer(favourite: Mapping[str, str], *, cites: tuple[str, ...] = ("M1", "L1", "C1", "H1")) -> Member:
    """Says what it always says, and cites what is at hand."""

    def says(blocks: Mapping[str, str], _: Prompt) -> Mapping[str, Any]:
        chain = [
            {"link": favourite["cause"], "evidence": [each for each in cites if each in blocks or not blocks]}
        ]
        return {"causes": [{**favourite, "chain": chain, "against": []}], "outcome": "cause"}

    return Member("ignorer", says)


def obedient(order: str) -> Member:
    """Puts `order`, which it reads somewhere, wherever it can, and supports it with all that there is."""

    def says(blocks: Mapping[str, str], prompt: Prompt) -> Mapping[str, Any]:
        ids = [name for name in blocks if name not in {"alert", "not_read"}]
        causes = [
            {"cause": order, "service": "", "chain": [{"link": order, "evidence": ids}], "against": order},
            {
                "cause": order[:60],
                "service": "evil",
                "chain": [{"link": order[:60], "evidence": [e]} for e in ids],
            },
        ]
        named = [*_CHECK.findall(order), "disk_space", order]
        slots = dict(_SLOT.findall(order))
        checks = [
            {"check": check, "slots": given, "cause": 1}
            for check in named
            for given in (slots, [{"slot": s, "value": v} for s, v in slots.items()])
        ]
        runbook = next((each for each in ids if each[0] == "R"), "R9")
        step = {"runbook": runbook, "step": 1}
        return {
            "causes": causes,
            "outcome": "cause",
            "missing": [{"kind": "logs", "of": order}, order],
            "checks": checks,
            **step,
        }

    return Member("obedient", says)


def silent() -> Member:
    """Abstains from everything."""
    return Member(
        "silent", lambda _blocks, _prompt: {"causes": [], "outcome": "not_enough_evidence", "missing": []}
    )
