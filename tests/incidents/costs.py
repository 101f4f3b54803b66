"""What an incident costs at list prices: `python -m tests.incidents.costs` prints rows of docs/incidents.md.

No vendor is asked. How much is sent was measured on the recorded bundles, how much comes back is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from statistics import median
from unittest.mock import patch

from techsapo_ops.adapters.delimiting import size
from techsapo_ops.adapters.jsons import dump
from techsapo_ops.catalogue.checks import Known
from techsapo_ops.incidents.bundle import read_bundle
from techsapo_ops.incidents.evidence import PACK_BYTES
from techsapo_ops.incidents.pack import leaving, pack_of
from techsapo_ops.incidents.question import FORM, Inquiry, Language, system_of, user_of
from techsapo_ops.masking.masker import mask
from techsapo_ops.spec.models import Spec
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.providers.prices import worst_cost
from techsapo_ops.wallbounce.providers.provider import Provider
from techsapo_ops.wallbounce.providers.registry import recipe
from techsapo_ops.wallbounce.question import Question
from tests.incidents.panels.panel_cases import BUNDLES

PRICED = date(2026, 12, 2)
"""The day whose list prices count: some of them change on a day that is known before."""
BYTES = 18_500
"""Bytes of one call: instructions, evidence and form, the median of the recorded bundles in both languages,
to the nearest 500."""
COUNTED = 21_500
"""The same as the purse counts it: with what delimiting may add."""
BYTES_PER_TOKEN = 2.5
"""Numbers, labels and times make short tokens. In the evidence of the recorded bundles, four vocabularies
(cl100k, o200k, an older one of Anthropic's, DeepSeek's) have 2.5 to 2.6, and more in the instructions."""
FORM_TOKENS, THOUGHT_TOKENS = 1_000, 4_000
"""Assumed: a form with three causes and four checks, and what a model thinks before it."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model of a vendor, a kind of provider in the spec."""

    vendor: str
    name: str


GPT, GEMINI, CLAUDE = (
    Model("openai", "gpt-6.1-sol"),
    Model("google", "gemini-3.8-flash"),
    Model("anthropic", "claude-sonnet-5-5"),
)
PANELS: Sequence[Sequence[Model]] = (
    (GPT, GEMINI),
    (GPT, GEMINI, CLAUDE),
    (Model("openai", "gpt-6-luna"), Model("anthropic", "claude-haiku-5-5")),
    (Model("anthropic", "claude-opus-5-5"), Model("google", "gemini-3.1-pro-preview")),
)
"""The first two of the spec that `techsapo init` writes, its first three, two small ones, two large ones."""


@dataclass(frozen=True, slots=True)
class Cost:
    """USD of one incident: a form filled in at once, the same after some thought, and what is set aside."""

    plain: float
    thought: float
    reserved: float

    def cells(self) -> str:
        """The columns of the table."""
        return f"${self.plain:.3f} | ${self.thought:.3f} | ${self.reserved:.2f}"


def cost(panel: Sequence[Model]) -> Cost:
    """What one question to all of `panel` costs at the list prices of PRICED."""
    noon = datetime(PRICED.year, PRICED.month, PRICED.day, 12, tzinfo=UTC).timestamp()
    with patch("techsapo_ops.wallbounce.providers.prices.time.time", return_value=noon):
        members = [_provider(model) for model in panel]
        plain, thought = (
            sum(one.price.cost(Tokens(round(BYTES / BYTES_PER_TOKEN), written)) for one in members)
            for written in (FORM_TOKENS, FORM_TOKENS + THOUGHT_TOKENS)
        )
        return Cost(plain, thought, sum(worst_cost(one, Question("", "en"), COUNTED) for one in members))


def rows() -> Mapping[str, str]:
    """By the models of a panel, as the table names them, the rest of its row."""
    return {", ".join(f"`{model.name}`" for model in panel): cost(panel).cells() for panel in PANELS}


def measured() -> tuple[float, float]:
    """The medians, by the recorded bundles in both languages, of what BYTES and COUNTED are."""
    sent, counted = [], []
    for folder in sorted(BUNDLES.iterdir()):
        pack = leaving(pack_of(read_bundle(folder), PACK_BYTES, _masked), {})
        known = Known(pack.subject.services, pack.subject.hosts)
        languages: tuple[Language, ...] = ("en", "ja")
        for language in languages:
            inquiry = Inquiry(pack, language, _masked, known)
            texts, form = (system_of(inquiry), user_of(inquiry)), len(dump(FORM))
            sent.append(len("".join(texts).encode()) + form)
            counted.append(size(*texts) + form)
    return median(sent), median(counted)


def _masked(text: str) -> str:
    return mask(text, "secrets")


def _provider(model: Model) -> Provider:
    section = {"kind": model.vendor, "model": model.name, "api_key": "none"}
    spec = Spec.model_validate({"project": "costs", "providers": {"one": section}})
    made = recipe("one", spec.providers["one"])
    assert not isinstance(made, str), made
    return made.make()


if __name__ == "__main__":
    print(*(f"| {models} | {cells} |" for models, cells in rows().items()), sep="\n")
    print(*measured())
