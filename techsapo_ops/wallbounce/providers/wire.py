"""One call to a vendor over HTTP, by hand: one POST, and a reply that comes whole or as a stream of events.

No vendor's SDK is behind it; decision 37 says why, and what that saves.
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from techsapo_ops.adapters.imports import first_use
from techsapo_ops.adapters.jsons import dump, load
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.failures import Cause, FailureKind, ProviderError
from techsapo_ops.wallbounce.prompts import Prompt, with_schema
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.base import Completion, KeyedModel, Tally
from techsapo_ops.wallbounce.providers.kinds import KeyedSpec
from techsapo_ops.wallbounce.providers.listed import LONGEST_LIST, NO_LIST, Listed, in_list
from techsapo_ops.wallbounce.providers.sse import MEDIA_TYPE, event_data
from techsapo_ops.wallbounce.providers.told import Told, failure_of
from techsapo_ops.wallbounce.providers.told import read as read_error
from techsapo_ops.wallbounce.providers.upstream import connection_failure, open_session
from techsapo_ops.wallbounce.question import Question

if TYPE_CHECKING:
    import aiohttp

REFUSED = msg("the provider refused the question's content")
_HOLLOW = "\0the user's text\0"
"""Stands for it while the rest of a request is encoded."""
VERTEX = re.compile(r"/publishers/[^/]+\Z")
"""How the path of a base URL ends that is Vertex AI's: it holds the version, the project and the place."""
_CLOUDS = re.compile(
    r"\Ahttps?://[^/]+\.(?:azure\.com|amazonaws\.com|api\.aws)(?::\d+)?(?:/|\Z)", re.IGNORECASE
)
"""Clouds that serve vendors' models by names of their own, or of the user's: no list has these."""
_DONE = b"[DONE]"
LIST_TIMEOUT = 20.0
"""Most seconds that a vendor's list of models is waited for."""
_FRAMES = 64
"""Encoded requests that are kept; there are a few for each kind of prompt."""
UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError)
"""What reading JSON of another shape than the promised raises."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a request is put, as far as the endpoint's refusals have taught it.

    `structured`: the schema goes into the vendor's field for it, not in words. `limit` is the field of a chat
    completion that bounds its length.
    """

    structured: bool = True
    limit: str = "max_tokens"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A reply whose status is another than 200."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Reading(ABC):
    """Takes in a stream, one event after the other. `done` once a chat completion's [DONE] came."""

    def __init__(self) -> None:
        self.done = False
        self.begun = False

    @abstractmethod
    def add(self, event: Any, tally: Tally) -> None:
        """Take in the JSON of one more event. Raises ProviderError where it tells an error."""

    @abstractmethod
    def reply(self, tally: Tally) -> Completion:
        """What the events add up to. Raises ProviderError where the last one never came, or for a refusal."""


class WiredModel(KeyedModel):
    """A model that is asked by HTTP; a vendor's class knows its address, its requests and its replies.

    What a refusal teaches of how to ask is remembered once an answer came that way: an endpoint that turns
    the schema away is asked in words from then on.
    """

    default_url: ClassVar[str] = ""
    """The vendor's own address, where the spec gives none."""
    promised: ClassVar[str]
    """What a reply is, in words."""
    told_alone: ClassVar[bool] = False
    """Whether the vendor tells of one model by its name, so that 404 means that it has none of that name."""

    def __init__(self, name: str, spec: KeyedSpec, price: Price) -> None:
        super().__init__(name, spec, price)
        self._base_url = (spec.base_url or self.default_url).rstrip("/")
        self.headers = _with_given(
            {
                "Content-Type": "application/json",
                "Accept": "application/json",
                **self.own_headers(),
                **(self.login(spec.api_key.reveal().strip()) if spec.api_key else {}),
            },
            {name: value.reveal() for name, value in (spec.headers or {}).items()},
        )
        self._extra = spec.extra_body or {}
        self._form = Form()
        self._frames: dict[object, tuple[bytes, bytes]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._errors: tuple[type[Exception], ...] = ()

    @property
    def in_words(self) -> bool:
        """Whether the endpoint turned the schema away, so that it is asked in words."""
        return not self._form.structured

    def own_headers(self) -> dict[str, str]:
        """What the vendor wants in the headers beside the key."""
        return {}

    def login(self, key: str) -> dict[str, str]:
        """The headers that hold the key."""
        return {"Authorization": f"Bearer {key}"}

    @abstractmethod
    def url(self) -> str:
        """Where calls go."""

    @abstractmethod
    def request(self, prompt: Prompt, system: str, form: Form) -> dict[str, Any]:
        """The JSON of a call with `system` as its instructions."""

    @abstractmethod
    def read(self, reply: Any, tally: Tally) -> Completion:
        """What the JSON of a whole reply holds. Raises ProviderError where the vendor failed or refused, and
        what reading JSON of another shape raises.
        """

    @abstractmethod
    def reading(self) -> Reading:
        """What takes in a stream."""

    def list_url(self) -> str:
        """Where the vendor lists its models, or tells of this one."""
        return f"{self._base_url}/models"

    def read_list(self, answer: Any) -> Listed:
        """What that JSON says of the model. Raises what reading JSON of another shape raises."""
        return in_list(answer, self.model)

    async def listed(self) -> Listed:
        """What the vendor's list says of the model: one GET, which costs nothing. Raises ProviderError."""
        if _CLOUDS.search(self._base_url) or VERTEX.search(self._base_url):
            return NO_LIST
        await self.warm()
        wait = min(self.timeout, LIST_TIMEOUT)
        unreachable: tuple[type[Exception], ...] = (*_connection_errors(), OSError)
        try:
            async with (
                asyncio.timeout(wait),
                open_session(LONGEST_LIST) as session,
                session.get(self.list_url(), headers=self.headers, allow_redirects=False) as response,
            ):
                body = await response.read()
                if response.status == 200:
                    return self.read_list(load(body))
                failure = failure_of(response.status, body, response.headers)
                if response.status in {404, 405, 501}:
                    return Listed(False) if self.told_alone and failure.cause is Cause.MODEL else NO_LIST
        except unreachable as error:
            failure = connection_failure(error, wait)
        except UNREADABLE as error:
            told = msg("the list of models is not the vendor's ({name})", name=type(error).__name__)
            failure = ProviderError(FailureKind.BAD_ANSWER, told)
        except ProviderError as error:
            failure = error
        failure.message = self._clean(failure.message)
        raise failure

    def learn(self, form: Form, told: Told) -> Form | None:
        """How to ask anew after a refusal of `form`; None where no other form would help."""
        if form.structured and told.status in {400, 404, 422} and told.cause is Cause.SCHEMA:
            return replace(form, structured=False)
        return None

    @override
    async def warm(self) -> None:
        await asyncio.to_thread(first_use, _import_aiohttp)

    @override
    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    @override
    async def complete(self, prompt: Prompt, question: Question, tally: Tally) -> Completion:
        form = self._form
        tried = {form}
        while isinstance(reply := await self._post(self.encoded(prompt, question, form), tally), Rejected):
            taught = self.learn(form, read_error(reply.status, reply.body, reply.headers))
            if taught is None or taught in tried:
                raise failure_of(reply.status, reply.body, reply.headers)
            form = taught
            tried.add(form)
        if len(tried) > 1:
            self._form = form
        if not reply.complete and not reply.text.strip() and not reply.why:
            told = msg("all tokens went into thinking and none into an answer; raise max_output_tokens")
            raise ProviderError(FailureKind.BAD_ANSWER, told, cause=Cause.CUT_OFF, began=True)
        return reply

    def encoded(self, prompt: Prompt, question: Question, form: Form) -> bytes:
        """The body of a call. All but the user's text is encoded once for each kind of prompt."""
        key = (prompt.system, prompt.name, question.language, form)
        frame = self._frames.get(key)
        if frame is None:
            hollow = Prompt(prompt.system, _HOLLOW, prompt.name, prompt.schema)
            system = prompt.system if form.structured else with_schema(prompt, question.language)
            whole = merged(self.request(hollow, system, form), self._extra)
            head, _, tail = dump(whole).partition(dump(_HOLLOW))
            if len(self._frames) >= _FRAMES:
                self._frames.clear()
            frame = self._frames[key] = (head, tail)
        return b"".join((frame[0], dump(prompt.user), frame[1]))

    async def _post(self, content: bytes, tally: Tally) -> Completion | Rejected:
        if self._session is None:
            await self.warm()
            if self._session is None:
                self._session = open_session()
                self._errors = (*_connection_errors(), OSError)
        try:
            async with self._session.post(
                self.url(), data=content, headers=self.headers, allow_redirects=False
            ) as response:
                if response.status != 200:
                    return Rejected(response.status, response.headers, await response.read())
                if not response.headers.get("Content-Type", "").lower().startswith(MEDIA_TYPE):
                    return self.read(load(await response.read()), tally)
                reading = self.reading()
                async for data in event_data(response.content.iter_any()):
                    reading.begun = True
                    if data.strip() == _DONE:
                        reading.done = True
                    else:
                        reading.add(load(data), tally)
                return reading.reply(tally)
        except self._errors as error:
            raise connection_failure(error, self.timeout) from None
        except UNREADABLE as error:
            told = msg(
                "the reply is not {promised} ({name})", promised=self.promised, name=type(error).__name__
            )
            raise ProviderError(FailureKind.BAD_ANSWER, told, began=True) from None


def refusal(told: str = REFUSED, *, began: bool = True) -> ProviderError:
    """The vendor's answer is that it gives none to this question."""
    return ProviderError(FailureKind.REFUSED, told, cause=Cause.CONTENT, began=began)


def merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """`body` with what `extra` has more; a mapping in both is merged in its turn."""
    both = dict(body)
    for key, value in extra.items():
        held = both.get(key)
        both[key] = merged(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return both


def _with_given(own: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Our headers, but for those that the spec gives, whichever their case."""
    names = {name.lower() for name in given}
    return {**{name: value for name, value in own.items() if name.lower() not in names}, **given}


def _connection_errors() -> tuple[type[Exception], ...]:
    import aiohttp

    return (aiohttp.ClientError, TimeoutError)


def _import_aiohttp() -> None:
    import aiohttp  # noqa: F401 - the import is what is wanted
