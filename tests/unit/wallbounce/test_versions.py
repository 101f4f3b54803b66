"""Which version of a model answered: what its vendor says, and what is learnt of it apart."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from panel_simulation.figures import NOW
from rows import each_row
from scripted import Answer, Grades, Purse
from test_calibration import record
from test_cascade import CAUSE, Priced, asked

from techsapo_ops.masking import MASK
from techsapo_ops.spec.models.providers import OpenAIProvider
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.context import Charged
from techsapo_ops.wallbounce.examination.prompts import Prompt
from techsapo_ops.wallbounce.providers.base import Completion, LanguageModel, Tally
from techsapo_ops.wallbounce.providers.provider import Ask, AskAnswer, Price, Reply
from techsapo_ops.wallbounce.question import Question, TierRule
from techsapo_ops.wallbounce.verdict.learning import MOST_VERSIONS, learn
from techsapo_ops.wallbounce.verdict.record import Labelled, PanelRecord, family_of, record_of, versioned

KEY = "sk-lab-0123456789"


class Saying(LanguageModel):
    """A model whose vendor names what answers as it likes."""

    kind = "openai"

    def __init__(self, version: str) -> None:
        spec = OpenAIProvider.model_validate({"kind": "openai", "model": "m", "api_key": KEY})
        super().__init__("p", spec, Price(1.0, 1.0))
        self._version = version

    async def complete(self, prompt: Prompt, question: Question, tally: Tally) -> Completion:
        tally.version = self._version
        return Completion("the disk is full", Tokens(1, 1))

    async def warm(self) -> None:
        raise AssertionError

    async def close(self) -> None:
        raise AssertionError


@each_row(
    "said, read",
    [
        ("m-2026-11-17", "m-2026-11-17"),
        ("", ""),
        (f"m {KEY}", f"m {MASK}"),
        ("m\n\x1b[31m\u202e\ud800", "m \ufffd[31m\ufffd\ufffd"),
        ("m" * 100_000, "m" * 128),
    ],
)
def test_a_version_is_somebody_elses_word_of_one_short_line_without_secrets(said: str, read: str) -> None:
    answer = asyncio.run(Saying(said).call(AskAnswer(Question("?", "en", "r"))))
    assert answer.version == read


class Dated(Priced):
    """One whose vendor has put another model behind its name."""

    async def call(self, ask: Ask) -> Reply:
        reply = await super().call(ask)
        assert isinstance(reply, Answer | Grades)
        return replace(reply, version=f"{self.name}-2026-11-17")


def test_the_record_and_the_charge_of_each_call_name_who_answered() -> None:
    panel = Dated("dear", CAUSE, 9.0), Dated("middle", CAUSE, 3.0), Dated("cheap", CAUSE, 1.0)
    analysis, events = asked(*panel, payer=Purse())
    members = record_of(analysis, TierRule(2, 0.7, 0.6)).answers
    assert [(m.model, m.version) for m in members] == [
        ("scripted", "cheap-2026-11-17"),
        ("scripted", "middle-2026-11-17"),
    ]
    charges = [event.charge for event in events if isinstance(event, Charged)]
    assert [(c.phase, c.version) for c in charges] == [
        ("answer", "cheap-2026-11-17"),
        ("grade", "middle-2026-11-17"),
    ]


def with_version(made: PanelRecord, version: str) -> PanelRecord:
    """`made` where the vendor of the last model says so."""
    *others, last = made.answers
    return replace(made, answers=(*others, replace(last, version=version)))


def test_a_model_that_its_vendor_replaced_under_its_name_starts_as_a_new_member_of_its_family() -> None:
    old, new = (with_version(record(True, True, False), f"gamma-1-{date}") for date in ("05-06", "11-17"))
    fitted = learn([Labelled(old, 1.0, NOW)] * 40, NOW)
    known, replaced, sister = (
        fitted.weights("premium", models, 0, (True, True, False))
        for models in (old.models, new.models, ("alpha-1", "beta-1", "gamma-2"))
    )
    assert replaced == sister
    assert replaced != known


@each_row(
    "model, version, name",
    [
        ("gpt-6", "", "gpt-6"),
        ("gpt-6", "gpt-6", "gpt-6"),
        ("openai/gpt-6", "gpt-6-2026-11-17", "openai/gpt-6@gpt-6-2026-11-17"),
    ],
)
def test_a_version_is_a_part_of_the_name_where_it_says_more(model: str, version: str, name: str) -> None:
    assert versioned(model, version) == name
    assert family_of(name) == "gpt"
    assert family_of(versioned(model, "x/claude-5")) == "gpt", "no word of a server makes it another's kin"


def test_a_server_that_names_another_version_each_time_gets_a_bounded_number_of_them() -> None:
    told = [Labelled(with_version(record(True, True, False), f"v{n}"), 1.0, NOW) for n in range(60)]
    fitted = learn(told, NOW)
    versions = [group for group in fitted.groups if group.startswith("model gamma-1")]
    assert len(versions) == MOST_VERSIONS + 1
    assert "model gamma-1" in versions
    assert fitted.labels == 60
