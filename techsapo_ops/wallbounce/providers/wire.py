"""One call to a vendor over HTTP, by hand: one POST, and a reply that comes whole or as a stream of events.

No vendor's SDK is behind it; decision 11 says why, and what that saves. What differs from vendor to vendor is
a table of its class: where calls go, what a body holds, and where a reply has its parts.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from typing_extensions import override

from techsapo_ops.adapters.imports import first_use
from techsapo_ops.adapters.jsons import dump, load
from techsapo_ops.adapters.sse import MEDIA_TYPE, Parser
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.providers import KeyedProvider
from techsapo_ops.wallbounce.examination.prompts import Prompt, with_schema
from techsapo_ops.wallbounce.providers.base import Completion, Tally
from techsapo_ops.wallbounce.providers.failures import Cause, FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.provider import Price
from techsapo_ops.wallbounce.providers.reading import (
    LIMIT,
    LONGEST_LIST,
    MODEL,
    NAME,
    NO_LIST,
    SCHEMA,
    SYSTEM,
    USER,
    Listed,
    Reading,
    ReadModel,
    filled,
    listed_alone,
    listed_among,
    merged,
    placed,
)
from techsapo_ops.wallbounce.providers.upstream import bounded, connection_failure, open_session
from techsapo_ops.wallbounce.providers.vendor_error import VendorError, failure_of
from techsapo_ops.wallbounce.providers.vendor_error import read as read_error
from techsapo_ops.wallbounce.question import Question

if TYPE_CHECKING:
    import aiohttp

_CLOUDS = re.compile(
    r"\Ahttps?://[^/]+\.(?:azure\.com|amazonaws\.com|api\.aws)(?::\d+)?(?:/|\Z)", re.IGNORECASE
)
"""Clouds that serve vendors' models by names of their own, or of the user's: no list has these."""
_DONE = b"[DONE]"
LIST_TIMEOUT = 20.0
"""Most seconds that a vendor's list of models is waited for."""
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

    path: ClassVar[str] = ""
    login: ClassVar[tuple[str, str]] = ("Authorization", "Bearer {key}")
    """The header that holds the key."""
    own_headers: ClassVar[Mapping[str, str]] = {}
    """Further headers that the vendor wants."""

    list_path: ClassVar[str] = ""
    """Where the vendor lists its models, or only this one (`{model}`)."""
    one_listed: ClassVar[bool] = True
    """Whether the list is of one model by its name, so that 404 means that there is none of that name."""
    listed_at: ClassVar[str] = "id"
    """The field of a model's name in the list, where it is of one."""
    end_at: ClassVar[str] = ""
    """The field of a model's last day in the list."""

    body: ClassVar[Mapping[str, Any]]
    schema: ClassVar[Mapping[str, Any]]
    """What a body holds more where the answer's schema goes into the vendor's field for it."""
    streaming: ClassVar[Mapping[str, Any]] = {"stream": True}
    """What it holds more where the answer is to come as a stream."""
    effort_at: ClassVar[str]
    """Where a body holds the effort."""
    effort_upper: ClassVar[bool] = False
    """Whether the vendor writes efforts in capital letters."""
    limits: ClassVar[tuple[str, ...]] = ()
    """Two fields that bound an answer's length, of which endpoints take one or the other.

    api.openai.com and Azure take `max_completion_tokens` alone, Ollama reads `max_tokens` alone.
    """

    def __init__(self, name: str, spec: KeyedProvider, price: Price) -> None:
        super().__init__(name, spec, price)
        self.stream = spec.stream
        self.base_url = (spec.base_url or spec.address or "").rstrip("/")
        own = {"Content-Type": "application/json", "Accept": "application/json", **self.own_headers}
        if spec.api_key:
            own[self.login[0]] = self.login[1].format(key=spec.api_key.reveal().strip())
        given = {name: value.reveal() for name, value in (spec.headers or {}).items()}
        names = {name.lower() for name in given}
        self.headers = {name: value for name, value in own.items() if name.lower() not in names} | given
        self._added: list[Mapping[str, Any]] = [spec.extra_body or {}]
        if spec.effort is not None:
            effort = spec.effort.upper() if self.effort_upper else spec.effort
            self._added.insert(0, placed(self.effort_at, effort))
        self._form = Form()
        self._bodies: dict[tuple[Form, str], dict[str, Any]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._errors: tuple[type[Exception], ...] = ()

    @override
    @classmethod
    def lacks(cls, name: str, spec: Any) -> str | None:
        """A vendor wants a key, which a header can hold; a server at another address may want none."""
        if spec.api_key is None:
            lacking = spec.needs_key and spec.at_vendor and not spec.headers
            return msg("no key; set providers.{name}.api_key or api_key_file", name=name) if lacking else None
        if spec.api_key.reveal().strip().isprintable():
            return None
        return msg(
            "the key contains a control character; rewrite providers.{name}.api_key on one line", name=name
        )

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

    def spellings(self) -> Sequence[str]:
        """The names that the model may have in a list of all, its own first."""
        return (self.model,)

    def learn(self, form: Form, error: VendorError) -> Form | None:
        """How to ask anew after a refusal of `form`; None where no other form would help."""
        if error.status in {400, 422} and self.limits and _not_taken(error, self.limits[form.limit]):
            return replace(form, limit=1 - form.limit)
        if form.structured and error.status in {400, 404, 422} and error.cause is Cause.SCHEMA:
            return replace(form, structured=False)
        return None

    def read(self, reply: Any, tally: Tally) -> Completion:
        """What the JSON of a whole reply holds. Raises ProviderError where the vendor failed or refused, and
        what reading JSON of another shape raises.
        """
        return Reading(self).whole(reply, tally)

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
                    answer = load(body)
                    if self.one_listed:
                        return listed_alone(answer, self.listed_at, self.end_at)
                    return listed_among(answer, self.spellings(), self.end_at)
                failure = failure_of(response.status, body, response.headers)
                if response.status in {404, 405, 501}:
                    return Listed(False) if self.one_listed and failure.cause is Cause.MODEL else NO_LIST
        except unreachable as error:
            failure = connection_failure(error, wait)
        except UNREADABLE as error:
            unread = msg(
                "the list of models is not in the vendor's format ({name})", name=type(error).__name__
            )
            failure = ProviderError(FailureKind.BAD_ANSWER, unread)
        except ProviderError as error:
            failure = error
        failure.message = self._clean(failure.message)
        raise failure

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
            spent = msg(
                "the model used all tokens for thinking and gave no answer; raise max_output_tokens, "
                "or lower effort"
            )
            raise ProviderError(FailureKind.BAD_ANSWER, spent, cause=Cause.CUT_OFF, began=True)
        return reply

    def encoded(self, prompt: Prompt, question: Question, form: Form) -> bytes:
        """The body of a call."""
        system = prompt.system if form.structured else with_schema(prompt, question.language)
        sort = (form, prompt.name)
        body = self._bodies.get(sort)
        if body is None:
            body = self._bodies[sort] = self._body(prompt, form)
        return dump(body, {SYSTEM: system, USER: prompt.user}.__getitem__)

    def _body(self, prompt: Prompt, form: Form) -> dict[str, Any]:
        """What all calls for such a reply hold: their system and user stay open."""
        tables = [self.body, self.schema if form.structured else {}, self.streaming if self.stream else {}]
        limit = min(prompt.longest, self.max_output_tokens)
        values = {MODEL: self.model, LIMIT: limit, NAME: prompt.name, SCHEMA: prompt.schema}
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
                reading, parser = Reading(self), Parser()
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
            unread = msg("the reply is not in the vendor's format ({name})", name=type(error).__name__)
            raise ProviderError(FailureKind.BAD_ANSWER, unread, began=True) from None


def _not_taken(error: VendorError, field: str) -> bool:
    """Whether an endpoint refuses the name of `field`, not its value."""
    named = error.param == field or re.search(rf"\b{field}\b", error.message) is not None
    coded = error.code in {"unsupported_parameter", "unknown_parameter"}
    return named and (coded or _NOT_TAKEN.search(error.message) is not None)


def _connection_errors() -> tuple[type[Exception], ...]:
    import aiohttp

    return (aiohttp.ClientError, TimeoutError)


def _import_aiohttp() -> None:
    import aiohttp  # noqa: F401 - the import is what is wanted
