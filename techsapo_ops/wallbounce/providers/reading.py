"""What is sent to a vendor and what it answers: bodies, replies whole or as a stream, its list of models.

A vendor's class says where text, tokens and the end of an answer are in a document: the JSON of a whole
reply, or what it makes of one event of a stream. Errors and counts come before the text, since an error is
billed too. The bodies of requests are tables as well: what is always sent, what is added, and where the
values go.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum, auto
from typing import Any, ClassVar

from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.providers.base import Completion, LanguageModel, Tally, tokens_of
from techsapo_ops.wallbounce.providers.failures import Cause, FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.upstream import broken_off
from techsapo_ops.wallbounce.providers.vendor_error import failure_in_200


class Slot:
    """What a table of a body leaves open. No JSON has it, so that what is open yet is asked for."""


MODEL, SYSTEM, USER, LIMIT, NAME, SCHEMA = (Slot() for _ in range(6))


def placed(place: str, value: Any) -> dict[str, Any]:
    """`value` as a part of a body at `place`, such as `reasoning.effort`."""
    part = value
    for key in reversed(place.split(".")):
        part = {key: part}
    return dict(part)


def merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """`body` with what `extra` has more; a mapping in both is merged in its turn."""
    both = dict(body)
    for key, value in extra.items():
        held = both.get(key)
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            value = merged(held, value)
        both[key] = value
    return both


def filled(node: Any, values: Mapping[Slot, Any]) -> Any:
    """A table with `values` in its slots; others stay open."""
    if isinstance(node, Slot):
        return values.get(node, node)
    if isinstance(node, Mapping):
        return {key: filled(value, values) for key, value in node.items()}
    return [filled(value, values) for value in node] if isinstance(node, list) else node


class Ending(Enum):
    """What a vendor's reason to end an answer means."""

    WHOLE = auto()
    CUT_OFF = auto()
    """Tokens ran out."""
    EARLY = auto()
    """It may not be whole, though there were tokens left."""
    REFUSED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Counts:
    """Where a vendor's usage has its counts; of several places the sum counts."""

    read: tuple[str, ...]
    written: tuple[str, ...]
    cached: str
    thinking: str
    cache_written: str = ""
    zero_unsaid: bool = False
    """Whether the vendor leaves out what it has not written yet."""

    def tokens(self, usage: Any) -> Tokens | None:
        """What `usage` says; None where these are no counts."""
        return tokens_of(
            _total(usage, self.read),
            _total(usage, self.written, 0 if self.zero_unsaid else None),
            at(usage, self.cached) or 0,
            cache_written=at(usage, self.cache_written) or 0,
            thinking=at(usage, self.thinking) or 0,
        )


def _total(usage: Any, places: tuple[str, ...], unsaid: int | None = None) -> Any:
    """The sum of what is in `places`. The first one has to be there, unless it is `unsaid`."""
    first, *rest = (at(usage, place) for place in places)
    values = (unsaid if first is None else first, *(value or 0 for value in rest))
    return sum(values) if all(isinstance(value, int) for value in values) else None


def at(document: Any, *places: str) -> Any:
    """What is in the first of `places` that `document` has, such as `choices.0.finish_reason`; or None."""
    for place in places:
        node = document
        for key in place.split("."):
            if isinstance(node, list):
                node = node[int(key)] if key.isdecimal() and int(key) < len(node) else None
            else:
                node = node.get(key) if isinstance(node, dict) else None
        if node is not None:
            return node
    return None


class ReadModel(LanguageModel):
    """A model whose replies are read by its class's tables, and by functions for what no table can say."""

    version_at: ClassVar[str] = "model"
    """Where a reply names the model that answers."""
    counts: ClassVar[Counts]
    counted_late: ClassVar[bool] = False
    """Whether a stream counts output at its end alone."""
    finish_at: ClassVar[tuple[str, ...]]
    """Where a reply says why it ends; the first of these places that holds something."""
    detail_at: ClassVar[str] = ""
    """Where it says more about that."""
    endings: ClassVar[Mapping[str, Ending]]
    otherwise: ClassVar[Ending] = Ending.WHOLE
    """What a reason means that `endings` lacks."""
    reasons: ClassVar[Mapping[str, str]] = {}
    """Reasons and details in words."""

    def document(self, event: Any) -> Any:
        """What an event of a stream holds, as a part of a whole reply; None where it says nothing."""
        return event

    def check(self, document: Any) -> None:
        """Raise ProviderError where the vendor refuses in a way of its own."""

    @abstractmethod
    def text(self, document: Any) -> str:
        """The text in a document. Raises what reading JSON of another shape raises."""

    def refuses(self, _document: Any) -> bool:
        """Whether a document holds a refusal, which counts where there is no text."""
        return False

    def answer(self, content: str) -> str:
        """The answer in all the text of a reply."""
        return content

    def ending(self, finish: str | None) -> Ending:
        """What the reason to end means; none means that the answer is whole."""
        return Ending.WHOLE if finish is None else self.endings.get(finish, self.otherwise)

    def bill(self, _usage: Any) -> float | None:
        """What the usage of a reply says that it costs, in USD; None where it says nothing."""
        return None


class Reading:
    """Takes in the documents of one reply. `done` once a chat completion's [DONE] came."""

    def __init__(self, model: ReadModel) -> None:
        self.done = False
        self.begun = False
        self._model = model
        self._usage: Mapping[str, Any] = {}
        self._text: list[str] = []
        self._refused = False
        self._finish: str | None = None
        self._detail: str | None = None

    def add(self, event: Any, tally: Tally) -> None:
        """Take in one more event of a stream. Raises ProviderError where it holds an error or a refusal, and
        what reading JSON of another shape raises.
        """
        self.begun = True
        document = self._model.document(event)
        if document is not None:
            self._add(document, tally, longest=self._model.counted_late)

    def whole(self, reply: Any, tally: Tally) -> Completion:
        """What a whole reply holds. Raises as `add` and `reply` do."""
        self._add(reply, tally)
        self.done = True
        return self.reply(tally)

    def reply(self, tally: Tally) -> Completion:
        """What the events add up to. Raises ProviderError where the last one never came, or for a refusal."""
        if self._finish is None and not self.done:
            raise broken_off(self.begun)
        model, content = self._model, "".join(self._text)
        text, ending = model.answer(content), model.ending(self._finish)
        if ending is Ending.REFUSED or (self._refused and not text):
            raise refusal(model.reasons.get(self._detail or "", self._detail))
        if ending is Ending.FAILED:
            reason = msg("the answer broke off in the middle ({native})", native=self._detail or self._finish)
            raise ProviderError(FailureKind.UNAVAILABLE, reason, began=True)
        if content.strip() and not text.strip():
            closed = content.rstrip().endswith(">") and ending is not Ending.CUT_OFF
            why = msg("the reply has thoughts but no answer") if closed else ""
            return Completion("", tally.tokens, False, why)
        why = ""
        if ending is Ending.EARLY:
            usual = msg("the vendor ended the answer early ({finish})", finish=self._finish)
            why = model.reasons.get(self._finish or "", usual)
        return Completion(text, tally.tokens, ending is Ending.WHOLE, why)

    def _add(self, document: Any, tally: Tally, *, longest: bool = False) -> None:
        model = self._model
        self._finish = at(document, *model.finish_at) or self._finish
        self._detail = at(document, model.detail_at) or self._detail
        if isinstance(version := at(document, model.version_at), str):
            tally.version = version
        try:
            self._count(at(document, "usage", "usageMetadata"), tally, longest=longest)
        finally:
            error = at(document, "error", "choices.0.error")
            if error:
                raise failure_in_200({"error": error})
        model.check(document)
        self._text.append(model.text(document))
        self._refused = self._refused or model.refuses(document)

    def _count(self, usage: Any, tally: Tally, *, longest: bool) -> None:
        """Count the usage so far; a count that can't be read hides no error.

        Where a vendor counts output at the end alone, the longest answer counts until then: thinking is
        billed before a word of it is sent.
        """
        if usage is not None:
            self._usage = {**self._usage, **{key: value for key, value in usage.items() if value is not None}}
        if self._usage:
            tokens = self._model.counts.tokens(self._usage)
            if longest and tokens is not None and self._finish is None and tokens.output == 0:
                tokens = replace(tokens, output=self._model.max_output_tokens)
            tally.tokens, tally.billed_usd = tokens, self._model.bill(self._usage)


def refusal(detail: str | None = None, *, began: bool = True) -> ProviderError:
    """The vendor's answer is that it gives none to this question; `detail` may say why."""
    message = (
        msg("the provider refused the question's content ({blocked})", blocked=detail)
        if detail
        else msg("the provider refused the question's content")
    )
    return ProviderError(FailureKind.REFUSED, message, cause=Cause.CONTENT, began=began)


# Lists: https://platform.openai.com/docs/api-reference/models, https://docs.anthropic.com/en/api/models,
# https://ai.google.dev/api/models, https://openrouter.ai/docs/api-reference. Asking costs nothing.
LONGEST_LIST = 8 * 1024 * 1024
"""Most bytes of a list; OpenRouter's holds hundreds of models with their descriptions."""
_NAMED = 5
"""Most names of other models that are reported where one is missing."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a vendor's list says of a model.

    `exists` is None where the vendor has no list, `tells_ends` says whether its list could name an end.
    `others` are some of the names that it holds where the model is missing.
    """

    exists: bool | None
    tells_ends: bool = False
    retires: date | None = None
    others: tuple[str, ...] = ()


NO_LIST = Listed(None)


def listed_alone(entry: Any, named_at: str, end_at: str) -> Listed:
    """What the `entry` of the model itself says, by the fields of its name and of its end.

    Anthropic lists retired models too.
    """
    there = bool(entry[named_at]) and entry.get("lifecycle") != "retired"
    return Listed(there, tells_ends=end_at in entry, retires=_day(entry.get(end_at)))


def listed_among(answer: Any, spellings: Sequence[str], end_at: str) -> Listed:
    """What a list of all models says of the first of `spellings` that it holds."""
    entries = {entry["id"]: entry for entry in answer["data"]}
    entry = next((entries[name] for name in spellings if name in entries), None)
    if entry is not None:
        return listed_alone(entry, "id", end_at)
    start = spellings[0][: len(spellings[0]) // 2]
    others = sorted(entries, key=lambda name: (not name.startswith(start), name))
    return Listed(False, tells_ends=bool(end_at), others=tuple(others[:_NAMED]))


def _day(moment: Any) -> date | None:
    """The day of a date or moment, such as 2026-12-11 or 2026-11-30T00:00:00Z. Raises ValueError."""
    return None if moment is None else date.fromisoformat(str(moment)[:10])
