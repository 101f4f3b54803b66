"""OpenAI's chat completions, so that existing clients can ask; with notes the verdict is in their text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from techsapo_ops.catalogue.translations import in_language
from techsapo_ops.messages import msg
from techsapo_ops.serve.answers.asking import VERDICT, Asked, Asking
from techsapo_ops.serve.bodies.answer import TokensBody
from techsapo_ops.serve.bodies.base import Document, openai_responses
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
    check_chat,
    text_of,
)
from techsapo_ops.serve.http.auth import Gate
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.http.request_body import body_route
from techsapo_ops.serve.http.responses import EventStream, Put, comment, json_response, sse, while_connected
from techsapo_ops.wallbounce.question import TIERS, Composed, Passage, TaskType

PREFIX, NOTES = "techsapo-", "+notes"
MODELS: dict[str, tuple[TaskType, bool]] = {
    f"{PREFIX}{tier}{suffix}": (tier, bool(suffix)) for suffix in ("", NOTES) for tier in TIERS
}
"""By the name of a model: its tier, and whether the verdict is in its text."""
PIECE = 48
"""Characters of the answer in one chunk of a stream: it comes whole, once the verdict stands."""


class ChatBody(BaseModel):
    """A chat completion request, as `check_chat` lets it through. Sampling parameters have no effect."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(description=f"One of {', '.join(MODELS)}.")]
    messages: Annotated[
        list[dict[str, Any]], Field(min_length=1, description="In OpenAI's format; text only.")
    ]
    stream: bool | None = False
    stream_options: dict[str, bool | None] | None = None
    language: Annotated[
        Literal["en", "ja"] | None, Field(description="Language of the answer, as in /api/v1/generate.")
    ] = None

    @property
    def known(self) -> tuple[TaskType, bool]:
        """The tier of the model, and whether it has notes. Raises Problem where there is no such model."""
        if self.model not in MODELS:
            message = msg(
                "The model `{model}` does not exist. Available: {models}.",
                model=self.model[:64],
                models=", ".join(MODELS),
            )
            raise Problem(404, "unknown_model", message, param="model")
        return MODELS[self.model]

    def words(self) -> str:
        """What is asked for by who asks: instructions and the last user message."""
        users = [m for m in self.messages if m["role"] == "user"]
        instructions = [m for m in self.messages if m["role"] in {"system", "developer"}]
        return "\n".join(map(text_of, (*instructions, *users[-1:])))

    def prompt(self) -> str | Composed:
        """One question: the only user message as it is, a conversation with who said what."""
        said = [Passage(m["role"], text) for m in self.messages if (text := text_of(m)).strip()]
        if not said:
            raise Problem(
                400, "invalid_value", msg("Invalid 'messages': there is no text."), param="messages"
            )
        return said[0].text if len(said) == 1 and said[0].name == "user" else Composed(tuple(said))


_OUTCOMES: Mapping[str, str] = {
    "accepted": msg("accepted"),
    "unsettled": msg("unsettled"),
    "refused": msg("no reliable answer"),
}


def with_notes(answer: Document) -> str:
    """The answer's text, and below it verdict, scores, and who agrees, dissents or failed."""
    lines = [f"- {in_language(line, answer['language'])}" for line in _lines(answer)]
    return "\n".join((answer["answer"], "", "---", *lines))


def _lines(answer: Document) -> Iterator[str]:
    yield msg(
        "Verdict: {outcome}; tier {tier}, confidence {confidence:.2f} (needs {confidence_needed:.2f}), "
        "consensus {consensus} (needs {consensus_needed:.2f})",
        outcome=_OUTCOMES[answer["outcome"]],
        tier=answer["tier"],
        confidence=answer["confidence"],
        confidence_needed=answer["thresholds"]["confidence"],
        consensus="–" if answer["consensus"] is None else f"{answer['consensus']:.2f}",
        consensus_needed=answer["thresholds"]["consensus"],
    )
    for source in answer["sources"]:
        if source["cited"]:
            yield msg("Own page: {file}, {heading}", file=source["file"], heading=source["heading"])
    agreed = [p["name"] for p in answer["providers"] if p.get("agrees")]
    if len(agreed) > 1:
        yield msg("Agreed: {names}", names=", ".join(agreed))
    for each in answer["dissent"]:
        if each["grade"] is None:
            yield msg(
                "Another view: {cause} ({name}, not graded)", cause=each["root_cause"], name=each["provider"]
            )
        else:
            yield msg(
                "Another view: {cause} ({name}, graded {grade:.2f})",
                cause=each["root_cause"],
                name=each["provider"],
                grade=each["grade"],
            )
    failed = [p["name"] for p in answer["providers"] if p["status"] == "failed"]
    if failed:
        yield msg("Did not answer: {names}", names=", ".join(failed))
    if answer["simulated"]:
        yield msg("Simulated: no model has answered")


def chat_routes(gate: Gate, asking: Asking) -> APIRouter:
    """The routes below /v1."""
    router = APIRouter(prefix="/v1", tags=["openai"], route_class=body_route(gate.admit, check_chat))
    since = int(time.time())

    def model(name: str) -> ModelBody:
        return ModelBody(id=name, object="model", created=since, owned_by="techsapo")

    @router.get(
        "/models",
        summary="The tiers, as models; those with +notes include the verdict in the text.",
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
        summary="Ask in OpenAI's format.",
        response_model=CompletionBody,
        responses=openai_responses(400, 401, 402, 403, 404, 413, 415, 422, 429, 500, 502, 503, 504),
    )
    async def completions(body: ChatBody, request: Request) -> Response:
        tier, _ = body.known
        prompt = body.prompt()
        language = asking.language.of(body.language, body.words(), lambda: str(prompt))
        asked = Asked(prompt, tier, language)
        if body.stream:

            async def work(put: Put) -> None:
                """Chunks once the verdict stands; until then comments: its clients know no other events."""

                def tell(name: str, document: Document) -> None:
                    if name != VERDICT:
                        put(comment(name))
                        return
                    for chunk in _chunks(body, document):
                        put(chunk)

                await asking.follow(request, body, asked, tell)

            return EventStream(work, gate.watch(request.state.caller))
        document = await while_connected(request, asking.reply(request, body, asked))
        if document is None:
            return Response(status_code=499)
        return json_response(_completion(body, document))

    return router


def _usage(answer: Document) -> UsageBody:
    """All that was billed for the answer, gradings and thinking included; of a kept answer nothing was."""
    billed = TokensBody.model_validate(answer["tokens"])
    return UsageBody(
        prompt_tokens=billed.input,
        completion_tokens=billed.output,
        total_tokens=billed.input + billed.output,
        prompt_tokens_details=PromptDetailsBody(
            cached_tokens=billed.cached, cache_write_tokens=billed.cache_written
        ),
        completion_tokens_details=CompletionDetailsBody(reasoning_tokens=billed.thinking),
    )


def _text(body: ChatBody, answer: Document) -> str:
    _, notes = body.known
    return with_notes(answer) if notes else str(answer["answer"])


def _head(body: ChatBody, answer: Document, kind: str) -> dict[str, Any]:
    number = f"chatcmpl-{answer['request_id']}"
    return {"id": number, "object": kind, "created": int(time.time()), "model": body.model}


def _verdict(answer: Document) -> VerdictBody:
    return VerdictBody(**{name: answer[name] for name in VerdictBody.model_fields})


def _completion(body: ChatBody, answer: Document) -> CompletionBody:
    message = AssistantMessage(role="assistant", content=_text(body, answer), refusal=None)
    return CompletionBody(
        **_head(body, answer, "chat.completion"),
        choices=[ChoiceBody(index=0, message=message, logprobs=None, finish_reason="stop")],
        usage=_usage(answer),
        techsapo=_verdict(answer),
    )


def _chunks(body: ChatBody, answer: Document) -> Iterator[bytes]:
    head = _head(body, answer, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse({**head, "choices": [choice], **more})

    yield chunk({"role": "assistant", "content": ""})
    text = _text(body, answer)
    for start in range(0, len(text), PIECE):
        yield chunk({"content": text[start : start + PIECE]})
    yield chunk({}, "stop", techsapo=_verdict(answer).document())
    if (body.stream_options or {}).get("include_usage"):
        yield sse({**head, "choices": [], "usage": _usage(answer).document()})
    yield b"data: [DONE]\n\n"
