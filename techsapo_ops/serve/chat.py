"""OpenAI's chat completions, so that existing clients can ask; with notes the verdict is in their text."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from techsapo_ops.catalogue.translations import in_language
from techsapo_ops.messages import msg
from techsapo_ops.serve.asking import VERDICT, Asked, Asking
from techsapo_ops.serve.auth import Gate
from techsapo_ops.serve.bodies.answer import AnswerBody
from techsapo_ops.serve.bodies.chat import (
    AssistantMessage,
    ChoiceBody,
    CompletionBody,
    CompletionDetailsBody,
    ModelBody,
    ModelsBody,
    PromptDetailsBody,
    UsageBody,
    VerdictBody,
)
from techsapo_ops.serve.bodies.problem import openai_responses
from techsapo_ops.serve.body_route import body_route
from techsapo_ops.serve.chat_request import check_chat
from techsapo_ops.serve.idempotency import Document
from techsapo_ops.serve.problems import Problem
from techsapo_ops.serve.responses import json_response, while_connected
from techsapo_ops.serve.streams import EventStream, comment, sse
from techsapo_ops.wallbounce.question import Composed, Passage
from techsapo_ops.wallbounce.tiers import TIERS, TaskType

PREFIX, NOTES = "techsapo-", "+notes"
MODELS: dict[str, tuple[TaskType, bool]] = {
    f"{PREFIX}{tier}{suffix}": (tier, bool(suffix)) for suffix in ("", NOTES) for tier in TIERS
}
"""By the name of a model: its tier, and whether the verdict is in its text."""
PIECE = 48
"""Characters of the answer in one chunk of a stream: it comes whole, once the verdict stands."""


class ContentPart(BaseModel):
    """A part of a message; only text is understood."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["text", "input_text", "refusal"]
    text: str = ""
    refusal: str = ""


class CalledFunction(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str = ""
    arguments: str = ""


class CalledCustom(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str = ""
    input: str = ""


class ToolCall(BaseModel):
    """A call of a tool by an assistant whose conversation it was; nothing is called here."""

    model_config = ConfigDict(extra="ignore")

    function: CalledFunction = CalledFunction()
    custom: CalledCustom | None = None

    def text(self) -> str:
        """What was called with what: a custom tool takes text, a function JSON."""
        if self.custom is not None:
            return f"{self.custom.name}({self.custom.input})"
        return f"{self.function.name}({self.function.arguments})"


class Message(BaseModel):
    """One message. What an assistant called, and what tools gave back, is part of the conversation."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None

    def text(self) -> str:
        """The message's words."""
        parts = (
            []
            if self.content is None
            else [self.content]
            if isinstance(self.content, str)
            else [part.text or part.refusal for part in self.content]
        )
        called = [call.text() for call in self.tool_calls or ()]
        return "\n".join((*parts, *called))


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    include_usage: bool | None = False


class ChatBody(BaseModel):
    """A chat completion request. Sampling parameters are accepted and have no effect."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(description=f"One of {', '.join(MODELS)}.")]
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    response_format: dict[str, Any] | None = None
    language: Annotated[
        Literal["en", "ja"] | None, Field(description="Language of the answer, as of /api/v1/generate.")
    ] = None

    @property
    def known(self) -> tuple[TaskType, bool]:
        """The tier of the model, and whether it has notes. Raises Problem where there is no such model."""
        if self.model not in MODELS:
            told = msg(
                "The model `{model}` does not exist. There are {models}.",
                model=self.model[:64],
                models=", ".join(MODELS),
            )
            raise Problem(404, "unknown_model", told, param="model")
        return MODELS[self.model]

    def words(self) -> str:
        """What is asked for by who asks: instructions and the last user message."""
        users = [m for m in self.messages if m.role == "user"]
        told = [m for m in self.messages if m.role in {"system", "developer"}]
        return "\n".join(m.text() for m in (*told, *users[-1:]))

    def prompt(self) -> str | Composed:
        """One question: the only user message as it is, a conversation with who said what."""
        messages = [m for m in self.messages if m.text().strip()]
        if not messages:
            raise Problem(
                400, "invalid_value", msg("Invalid 'messages': there is no text."), param="messages"
            )
        if len(messages) == 1 and messages[0].role == "user":
            return messages[0].text()
        return Composed(tuple(Passage(m.role, m.text()) for m in messages))


_OUTCOMES: Mapping[str, str] = {
    "accepted": msg("accepted"),
    "unsettled": msg("unsettled"),
    "refused": msg("no reliable answer"),
}


def with_notes(answer: AnswerBody) -> str:
    """The answer's text, and below it verdict, scores, and who agrees, dissents or failed."""
    lines = [f"- {in_language(line, answer.language)}" for line in _lines(answer)]
    return "\n".join((answer.answer, "", "---", *lines))


def _lines(answer: AnswerBody) -> Iterator[str]:
    yield msg(
        "Verdict: {outcome}; tier {tier}, confidence {confidence:.2f} (needs {confidence_needed:.2f}), "
        "consensus {consensus} (needs {consensus_needed:.2f})",
        outcome=_OUTCOMES[answer.outcome],
        tier=answer.tier,
        confidence=answer.confidence,
        confidence_needed=answer.thresholds.confidence,
        consensus="–" if answer.consensus is None else f"{answer.consensus:.2f}",
        consensus_needed=answer.thresholds.consensus,
    )
    agreed = [p.name for p in answer.providers if p.agrees]
    if len(agreed) > 1:
        yield msg("Agreed: {names}", names=", ".join(agreed))
    for each in answer.dissent:
        if each.grade is None:
            yield msg("Another view: {cause} ({name}, not graded)", cause=each.root_cause, name=each.provider)
        else:
            yield msg(
                "Another view: {cause} ({name}, graded {grade:.2f})",
                cause=each.root_cause,
                name=each.provider,
                grade=each.grade,
            )
    failed = [p.name for p in answer.providers if p.status == "failed"]
    if failed:
        yield msg("Did not answer: {names}", names=", ".join(failed))
    if answer.simulated:
        yield msg("Simulated: no model has answered")


def chat_routes(gate: Gate, asking: Asking) -> APIRouter:
    """The routes below /v1."""
    router = APIRouter(prefix="/v1", tags=["openai"], route_class=body_route(gate.admit, check_chat))
    since = int(time.time())

    def model(name: str) -> ModelBody:
        return ModelBody(id=name, object="model", created=since, owned_by="techsapo")

    @router.get(
        "/models",
        summary="The tiers, as models; those with +notes have the verdict in their text.",
        response_model=ModelsBody,
        responses=openai_responses(401, 403, 429),
    )
    async def models(request: Request) -> Response:
        await gate.admit(request)
        return json_response(ModelsBody(object="list", data=[model(name) for name in MODELS]))

    @router.get(
        "/models/{name}",
        summary="One tier, as a model.",
        response_model=ModelBody,
        responses=openai_responses(401, 403, 404, 422, 429),
    )
    async def one_model(request: Request, name: str) -> Response:
        await gate.admit(request)
        if name not in MODELS:
            raise Problem(404, "unknown_model", msg("There is no such model."), param="model")
        return json_response(model(name))

    @router.post(
        "/chat/completions",
        summary="Ask as OpenAI's clients do.",
        response_model=CompletionBody,
        responses=openai_responses(400, 401, 402, 403, 404, 413, 415, 422, 429, 500, 502, 503, 504),
    )
    async def completions(body: ChatBody, request: Request) -> Response:
        tier, _ = body.known
        prompt = body.prompt()
        language = asking.language.of(body.language, body.words(), lambda: str(prompt))
        asked = Asked(prompt, tier, language, AnswerBody.document)
        if body.stream:
            return EventStream(
                lambda: _stream(body, asking.steps(request, body, asked)),
                gate.watch(request.state.caller),
            )
        document = await while_connected(request, asking.reply(request, body, asked))
        if document is None:
            return Response(status_code=499)
        return json_response(_completion(body, AnswerBody.model_validate(document)))

    return router


def _usage(answer: AnswerBody) -> UsageBody:
    """All that was billed for the answer, gradings and thinking included; of a kept answer nothing was."""
    billed = answer.tokens
    return UsageBody(
        prompt_tokens=billed.input,
        completion_tokens=billed.output,
        total_tokens=billed.input + billed.output,
        prompt_tokens_details=PromptDetailsBody(
            cached_tokens=billed.cached, cache_write_tokens=billed.cache_written
        ),
        completion_tokens_details=CompletionDetailsBody(reasoning_tokens=billed.thinking),
    )


def _text(body: ChatBody, answer: AnswerBody) -> str:
    _, notes = body.known
    return with_notes(answer) if notes else answer.answer


def _head(body: ChatBody, answer: AnswerBody, kind: str) -> dict[str, Any]:
    number = f"chatcmpl-{answer.request_id}"
    return {"id": number, "object": kind, "created": int(time.time()), "model": body.model}


def _verdict(answer: AnswerBody) -> VerdictBody:
    return VerdictBody(**{name: getattr(answer, name) for name in VerdictBody.model_fields})


def _completion(body: ChatBody, answer: AnswerBody) -> CompletionBody:
    message = AssistantMessage(role="assistant", content=_text(body, answer), refusal=None)
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
    text = _text(body, answer)
    for start in range(0, len(text), PIECE):
        yield chunk({"content": text[start : start + PIECE]})
    yield chunk({}, "stop", techsapo=_verdict(answer).document())
    if body.stream_options is not None and body.stream_options.include_usage:
        yield sse({**head, "choices": [], "usage": _usage(answer).document()})
    yield b"data: [DONE]\n\n"
