"""One call to a vendor over HTTP, by hand: one POST, and a reply that comes whole or as a stream of events.

No vendor's SDK is behind it; decision 37 says why, and what that saves. What differs from vendor to vendor is
a table of its class: where calls go, what a body holds, and where a reply has its parts.
"""

from __future__ import annotations

import asyncio
import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from typing_extensions import override

from techsapo_ops.adapters.imports import first_use
from techsapo_ops.adapters.jsons import dump, load
from techsapo_ops.adapters.sse import MEDIA_TYPE, Parser
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.failures import Cause, FailureKind, ProviderError
from techsapo_ops.wallbounce.prompts import Prompt, with_schema
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.base import Completion, Tally
from techsapo_ops.wallbounce.providers.body import Option, Slot, filled, merged
from techsapo_ops.wallbounce.providers.kinds import KeyedSpec
from techsapo_ops.wallbounce.providers.listed import LONGEST_LIST, NO_LIST, Listed
from techsapo_ops.wallbounce.providers.reading import ReadModel
from techsapo_ops.wallbounce.providers.upstream import bounded, connection_failure, open_session
from techsapo_ops.wallbounce.providers.vendor_error import VendorError, failure_of
from techsapo_ops.wallbounce.providers.vendor_error import read as read_error
from techsapo_ops.wallbounce.question import Question

if TYPE_CHECKING:
    import aiohttp

_HOLLOW = "\0the user's text\0"
"""Stands for it while the rest of a request is encoded."""
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
_NOT_TAKEN = re.compile(
    r"unsupported|not supported|unrecognized|unknown|unexpected|not permitted|not allowed|extra_forbidden"
    r"|use '?max_(?:completion_)?tokens",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Form:
    """How a request is put, as far as the endpoint's refusals have taught it.

    `structured`: the schema goes into the vendor's field for it, not in words. `limit` is the place in
    `limits` of the field that bounds an answer's length.
    """

    structured: bool = True
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Rejected:
    """A reply whose status is another than 200."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class WiredModel(ReadModel):
    """A model that is asked by HTTP. A vendor's class has the tables, and reads what no table can say.

    What a refusal teaches of how to ask is remembered once an answer came that way: an endpoint that turns
    the schema away is asked in words from then on.
    """

    default_url: ClassVar[str] = ""
    """The vendor's own address, where the spec gives none."""
    path: ClassVar[str] = ""
    list_path: ClassVar[str] = ""
    """Where the vendor lists its models, or tells of this one (`{model}`)."""
    one_listed: ClassVar[bool] = True
    """Whether it tells of one model by its name, so that 404 means that it has none of that name."""
    login: ClassVar[tuple[str, str]] = ("Authorization", "Bearer {key}")
    """The header that holds the key."""
    own_headers: ClassVar[Mapping[str, str]] = {}
    """What the vendor wants in the headers beside the key."""
    body: ClassVar[Mapping[str, Any]]
    schema: ClassVar[Mapping[str, Any]]
    """What a body holds more where the answer's schema goes into the vendor's field for it."""
    streaming: ClassVar[Mapping[str, Any]] = {"stream": True}
    """What it holds more where the answer is to come as a stream."""
    options: ClassVar[tuple[Option, ...]] = ()
    limits: ClassVar[tuple[str, ...]] = ()
    """Two fields that bound an answer's length, of which endpoints take one or the other.

    api.openai.com and Azure take `max_completion_tokens` alone, Ollama reads `max_tokens` alone.
    """

    def __init__(self, name: str, spec: KeyedSpec, price: Price) -> None:
        super().__init__(name, spec, price)
        self.base_url = (spec.base_url or self.default_url).rstrip("/")
        own = {"Content-Type": "application/json", "Accept": "application/json", **self.own_headers}
        if spec.api_key:
            own[self.login[0]] = self.login[1].format(key=spec.api_key.reveal().strip())
        self.headers = _with_given(
            own, {name: value.reveal() for name, value in (spec.headers or {}).items()}
        )
        self._added = [*(option.part(spec) for option in self.options), spec.extra_body or {}]
        self._form = Form()
        self._frames: dict[object, tuple[bytes, bytes]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._errors: tuple[type[Exception], ...] = ()

    @property
    def in_words(self) -> bool:
        """Whether the endpoint turned the schema away, so that it is asked in words."""
        return not self._form.structured

    def url(self) -> str:
        """Where calls go."""
        return self.base_url + self.path

    def list_url(self) -> str | None:
        """Where the vendor's list is; None where it has none."""
        return self.base_url + self.list_path.format(model=quote(self.model, safe=""))

    @abstractmethod
    def read_list(self, answer: Any) -> Listed:
        """What the JSON of the list says of the model. Raises what reading JSON of another shape raises."""

    async def listed(self) -> Listed:
        """What the vendor's list says of the model: one GET, which costs nothing. Raises ProviderError."""
        url = self.list_url()
        if url is None or _CLOUDS.search(self.base_url):
            return NO_LIST
        await self.warm()
        wait = min(self.timeout, LIST_TIMEOUT)
        unreachable: tuple[type[Exception], ...] = (*_connection_errors(), OSError)
        try:
            async with (
                asyncio.timeout(wait),
                open_session() as session,
                session.get(url, headers=self.headers, allow_redirects=False) as response,
            ):
                body = b"".join([chunk async for chunk in bounded(response, LONGEST_LIST)])
                if response.status == 200:
                    return self.read_list(load(body))
                failure = failure_of(response.status, body, response.headers)
                if response.status in {404, 405, 501}:
                    return Listed(False) if self.one_listed and failure.cause is Cause.MODEL else NO_LIST
        except unreachable as error:
            failure = connection_failure(error, wait)
        except UNREADABLE as error:
            told = msg("the list of models is not the vendor's ({name})", name=type(error).__name__)
            failure = ProviderError(FailureKind.BAD_ANSWER, told)
        except ProviderError as error:
            failure = error
        failure.message = self._clean(failure.message)
        raise failure

    def learn(self, form: Form, told: VendorError) -> Form | None:
        """How to ask anew after a refusal of `form`; None where no other form would help."""
        if told.status in {400, 422} and self.limits and _not_taken(told, self.limits[form.limit]):
            return replace(form, limit=1 - form.limit)
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
            whole = self.request(hollow, system, form)
            head, _, tail = dump(whole).partition(dump(_HOLLOW))
            if len(self._frames) >= _FRAMES:
                self._frames.clear()
            frame = self._frames[key] = (head, tail)
        return b"".join((frame[0], dump(prompt.user), frame[1]))

    def request(self, prompt: Prompt, system: str, form: Form) -> dict[str, Any]:
        """The JSON of a call with `system` as its instructions."""
        tables = [self.body, self.schema if form.structured else {}, self.streaming if self.stream else {}]
        values = {
            Slot.MODEL: self.model,
            Slot.SYSTEM: system,
            Slot.USER: prompt.user,
            Slot.LIMIT: self.max_output_tokens,
            Slot.NAME: prompt.name,
            Slot.SCHEMA: prompt.schema,
        }
        body: dict[str, Any] = filled(reduce(merged, tables), values)
        if form.limit:
            body[self.limits[form.limit]] = body.pop(self.limits[0])
        return reduce(merged, self._added, body)

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
                chunks = bounded(response)
                if response.status != 200:
                    body = b"".join([chunk async for chunk in chunks])
                    return Rejected(response.status, response.headers, body)
                if not response.headers.get("Content-Type", "").lower().startswith(MEDIA_TYPE):
                    return self.read(load(b"".join([chunk async for chunk in chunks])), tally)
                reading, parser = self.reading(), Parser()
                async for chunk in chunks:
                    for _, _, data in parser.feed(chunk):
                        if data.strip() == _DONE:
                            reading.done = reading.begun = True
                        else:
                            reading.add(load(data), tally)
                return reading.reply(tally)
        except self._errors as error:
            raise connection_failure(error, self.timeout) from None
        except UNREADABLE as error:
            told = msg("the reply is not the vendor's ({name})", name=type(error).__name__)
            raise ProviderError(FailureKind.BAD_ANSWER, told, began=True) from None


def _not_taken(told: VendorError, field: str) -> bool:
    """Whether an endpoint refuses the name of `field`, not its value."""
    named = told.param == field or re.search(rf"\b{field}\b", told.message) is not None
    coded = told.code in {"unsupported_parameter", "unknown_parameter"}
    return named and (coded or _NOT_TAKEN.search(told.message) is not None)


def _with_given(own: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Our headers, but for those that the spec gives, whichever their case."""
    names = {name.lower() for name in given}
    return {**{name: value for name, value in own.items() if name.lower() not in names}, **given}


def _connection_errors() -> tuple[type[Exception], ...]:
    import aiohttp

    return (aiohttp.ClientError, TimeoutError)


def _import_aiohttp() -> None:
    import aiohttp  # noqa: F401 - the import is what is wanted
