"""OpenAI's chat completions, so that existing clients can ask."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from techsapo_ops.serve.asking import VERDICT, Asked, Asking
from techsapo_ops.serve.auth import Gate
from techsapo_ops.serve.bodies.answer import AnswerBody
from techsapo_ops.serve.bodies.chat import (
    AssistantMessage,
    ChoiceBody,
    CompletionBody,
    ModelBody,
    ModelsBody,
    UsageBody,
    VerdictBody,
)
from techsapo_ops.serve.bodies.problem import openai_responses
from techsapo_ops.serve.body_route import body_route
from techsapo_ops.serve.idempotency import Document
from techsapo_ops.serve.problems import Problem
from techsapo_ops.serve.responses import json_response, while_connected
from techsapo_ops.serve.streams import EventStream, comment, sse
from techsapo_ops.wallbounce.tiers import TaskType

PREFIX = "techsapo-"
TIERS: dict[str, TaskType] = {"basic": "basic", "premium": "premium", "critical": "critical"}
PIECE = 48
"""Characters of the answer in one chunk of a stream: it comes whole, once the verdict stands."""
_REFUSED = ("tools", "functions", "logprobs", "audio")
"""What would change the answer and that we can't do; what only tunes it is accepted and has no effect."""


class TextPart(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: Literal["text", "input_text"]
    text: str


class Message(BaseModel):
    """One message; only text is understood."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    def text(self) -> str:
        """The message's words."""
        return self.content if isinstance(self.content, str) else "\n".join(p.text for p in self.content)


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class ChatBody(BaseModel):
    """A chat completion request. Sampling parameters are accepted and have no effect."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(description="techsapo-basic, techsapo-premium or techsapo-critical.")]
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int | None = None
    response_format: dict[str, Any] | None = None

    def task_type(self) -> TaskType:
        """The tier of the model. Raises Problem for any other model."""
        tier = TIERS.get(self.model.removeprefix(PREFIX)) if self.model.startswith(PREFIX) else None
        if tier is None:
            known = ", ".join(PREFIX + t for t in TIERS)
            raise Problem(
                404, "unknown_model", f"there is no model {self.model[:64]!r}; choose {known}", param="model"
            )
        return tier

    def check(self) -> None:
        """Raises Problem for what we can't do."""
        asked = [name for name in _REFUSED if (self.model_extra or {}).get(name)]
        if self.n not in (None, 1):
            asked.append("n")
        if self.response_format is not None and self.response_format.get("type") != "text":
            asked.append("response_format")
        if asked:
            raise Problem(400, "unsupported_parameter", f"{asked[0]} is not supported", param=asked[0])

    def words(self) -> str:
        """What is asked for by who asks: instructions and the last user message."""
        users = [m for m in self.messages if m.role == "user"]
        told = [m for m in self.messages if m.role in {"system", "developer"}]
        return "\n".join(m.text() for m in (*told, *users[-1:]))

    def prompt(self) -> str:
        """One question: the only user message as it is, a conversation with who said what."""
        messages = [m for m in self.messages if m.text().strip()]
        if len(messages) == 1 and messages[0].role == "user":
            return messages[0].text()
        return "\n\n".join(f"[{m.role}]\n{m.text().strip()}" for m in messages)


def chat_routes(gate: Gate, asking: Asking) -> APIRouter:
    """The routes below /v1."""
    router = APIRouter(prefix="/v1", tags=["openai"], route_class=body_route(gate.admit))
    since = int(time.time())

    def model(name: str) -> ModelBody:
        return ModelBody(id=name, object="model", created=since, owned_by="techsapo")

    @router.get(
        "/models",
        summary="The tiers, as models.",
        response_model=ModelsBody,
        responses=openai_responses(401, 403, 429),
    )
    async def models(request: Request) -> Response:
        await gate.admit(request)
        return json_response(ModelsBody(object="list", data=[model(PREFIX + tier) for tier in TIERS]))

    @router.get(
        "/models/{name}",
        summary="One tier, as a model.",
        response_model=ModelBody,
        responses=openai_responses(401, 403, 404, 422, 429),
    )
    async def one_model(request: Request, name: str) -> Response:
        await gate.admit(request)
        if name.removeprefix(PREFIX) not in TIERS or not name.startswith(PREFIX):
            raise Problem(404, "unknown_model", "there is no such model", param="model")
        return json_response(model(name))

    @router.post(
        "/chat/completions",
        summary="Ask as OpenAI's clients do.",
        response_model=CompletionBody,
        responses=openai_responses(400, 401, 402, 403, 404, 408, 413, 415, 422, 429, 500, 502, 503, 504),
    )
    async def completions(body: ChatBody, request: Request) -> Response:
        body.check()
        prompt = body.prompt()
        language = asking.language.of(None, body.words(), prompt)
        asked = Asked(prompt, body.task_type(), language, AnswerBody.document)
        if body.stream:
            return EventStream(
                lambda: _stream(body, asking.steps(request, body, asked)),
                lambda problem, number: sse(problem.openai(number)),
                gate.watch(request.state.caller),
            )
        document = await while_connected(request, asking.reply(request, body, asked))
        if document is None:
            return Response(status_code=499)
        return json_response(_completion(body, AnswerBody.model_validate(document)))

    return router


def _usage(answer: AnswerBody) -> UsageBody:
    tokens = [p.tokens for p in answer.providers if p.tokens is not None]
    sent, got = sum(t.input for t in tokens), sum(t.output for t in tokens)
    return UsageBody(prompt_tokens=sent, completion_tokens=got, total_tokens=sent + got)


def _head(body: ChatBody, answer: AnswerBody, kind: str) -> dict[str, Any]:
    number = f"chatcmpl-{answer.request_id}"
    return {"id": number, "object": kind, "created": int(time.time()), "model": body.model}


def _verdict(answer: AnswerBody) -> VerdictBody:
    return VerdictBody(**{name: getattr(answer, name) for name in VerdictBody.model_fields})


def _completion(body: ChatBody, answer: AnswerBody) -> CompletionBody:
    message = AssistantMessage(role="assistant", content=answer.answer, refusal=None)
    return CompletionBody(
        **_head(body, answer, "chat.completion"),
        choices=[ChoiceBody(index=0, message=message, logprobs=None, finish_reason="stop")],
        usage=_usage(answer),
        techsapo=_verdict(answer),
    )


async def _stream(body: ChatBody, steps: AsyncIterator[tuple[str, Document]]) -> AsyncIterator[bytes]:
    """Chunks once the verdict stands; until then comments, since OpenAI's clients know no other events."""
    async for name, document in steps:
        if name == VERDICT:
            for chunk in _chunks(body, AnswerBody.model_validate(document)):
                yield chunk
        else:
            yield comment(name)


def _chunks(body: ChatBody, answer: AnswerBody) -> Iterator[bytes]:
    head = _head(body, answer, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse({**head, "choices": [choice], **more})

    yield chunk({"role": "assistant", "content": ""})
    text = answer.answer
    for start in range(0, len(text), PIECE):
        yield chunk({"content": text[start : start + PIECE]})
    yield chunk({}, "stop", techsapo=_verdict(answer).document())
    if body.stream_options is not None and body.stream_options.include_usage:
        yield sse({**head, "choices": [], "usage": _usage(answer).document()})
    yield b"data: [DONE]\n\n"
