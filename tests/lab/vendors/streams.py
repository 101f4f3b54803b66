"""The vendors' streams, made of the events of their SDKs' own types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anthropic.types import (
    Message,
    RawContentBlockDeltaEvent,
    RawContentBlockStartEvent,
    RawContentBlockStopEvent,
    RawMessageDeltaEvent,
    RawMessageStartEvent,
    RawMessageStopEvent,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
)
from anthropic.types.raw_message_delta_event import Delta, MessageDeltaUsage
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseCreatedEvent,
    ResponseErrorEvent,
    ResponseIncompleteEvent,
    ResponseTextDeltaEvent,
)

Event = tuple[str, dict[str, Any]]
"""Its name, empty where the vendor gives none, and its data."""
PIECE = 12


def pieces(text: str) -> Iterator[str]:
    """`text` in pieces of PIECE characters."""
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE]


def chat_events(whole: dict[str, Any]) -> list[Event]:
    """Chunks that add up to a chat completion; the usage comes last, in a chunk without choices."""
    choice = whole["choices"][0]
    same = {"id": whole["id"], "object": "chat.completion.chunk", "created": whole["created"]}

    def chunk(delta: dict[str, Any] | None, finish: str | None = None, usage: Any = None) -> Event:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        made = {**same, "model": whole["model"], "choices": choices, "usage": usage}
        return "", ChatCompletionChunk.model_validate(made).model_dump(mode="json", exclude_unset=True)

    made = [chunk({"role": "assistant", "content": ""})]
    made += [chunk({"content": piece}) for piece in pieces(choice["message"]["content"])]
    made.append(chunk({}, choice["finish_reason"]))
    if whole["usage"]:
        made.append(chunk(None, usage=whole["usage"]))
    return made


def responses_events(whole: dict[str, Any]) -> list[Event]:
    """Events of the Responses API; the last one holds the whole response."""
    begun = Response.model_validate({**whole, "status": "in_progress", "output": []})
    events: list[Any] = [ResponseCreatedEvent(response=begun, sequence_number=0, type="response.created")]
    part = whole["output"][-1]["content"][0]
    for number, piece in enumerate(pieces(part.get("text", "")), 1):
        events.append(
            ResponseTextDeltaEvent(
                content_index=0,
                delta=piece,
                item_id="msg_1",
                logprobs=[],
                output_index=1,
                sequence_number=number,
                type="response.output_text.delta",
            )
        )
    last = Response.model_validate(whole)
    number = len(events)
    if whole["status"] == "incomplete":
        events.append(
            ResponseIncompleteEvent(response=last, sequence_number=number, type="response.incomplete")
        )
    else:
        events.append(
            ResponseCompletedEvent(response=last, sequence_number=number, type="response.completed")
        )
    return [(event.type, event.model_dump(mode="json", exclude_unset=True)) for event in events]


def responses_error(message: str, code: str) -> Event:
    """The error event of the Responses API."""
    event = ResponseErrorEvent(code=code, message=message, param=None, sequence_number=9, type="error")
    return "error", event.model_dump(mode="json")


def claude_events(whole: dict[str, Any]) -> list[Event]:
    """Events of the Messages API: input is counted at the start, output at the end."""
    message = Message.model_validate(whole)
    begun = message.model_copy(
        update={
            "content": [],
            "stop_reason": None,
            "usage": message.usage.model_copy(update={"output_tokens": 1}),
        }
    )
    events: list[Any] = [RawMessageStartEvent(message=begun, type="message_start")]
    for index, block in enumerate(message.content):
        if isinstance(block, ThinkingBlock):
            empty: Any = block.model_copy(update={"thinking": "", "signature": ""})
            deltas: list[Any] = [ThinkingDelta(thinking=block.thinking, type="thinking_delta")]
        else:
            assert isinstance(block, TextBlock)
            empty = TextBlock(text="", type="text")
            deltas = [TextDelta(text=piece, type="text_delta") for piece in pieces(block.text)]
        events.append(RawContentBlockStartEvent(content_block=empty, index=index, type="content_block_start"))
        events += [
            RawContentBlockDeltaEvent(delta=d, index=index, type="content_block_delta") for d in deltas
        ]
        events.append(RawContentBlockStopEvent(index=index, type="content_block_stop"))
    end = Delta(stop_reason=message.stop_reason)
    counted = MessageDeltaUsage(output_tokens=message.usage.output_tokens)
    events.append(RawMessageDeltaEvent(delta=end, type="message_delta", usage=counted))
    events.append(RawMessageStopEvent(type="message_stop"))
    made: list[Event] = [(event.type, event.model_dump(mode="json")) for event in events]
    made.insert(2, ("ping", {"type": "ping"}))
    return made


def gemini_events(whole: dict[str, Any]) -> list[Event]:
    """Gemini's responses in a stream: each counts what there is so far, the last one says why it ends."""
    candidate = whole["candidates"][0]
    texts = [(part, piece) for part in candidate.get("content", {}).get("parts", ())
             for piece in pieces(part.get("text", ""))]  # fmt: skip
    made: list[Event] = []
    for number, (part, piece) in enumerate(texts, 1):
        content = {"role": "model", "parts": [{**part, "text": piece}]}
        chunk: dict[str, Any] = {**whole, "candidates": [{"index": 0, "content": content}]}
        if usage := whole.get("usageMetadata"):
            share = usage["candidatesTokenCount"] * number // len(texts)
            chunk["usageMetadata"] = {**usage, "candidatesTokenCount": share}
        made.append(("", chunk))
    last = {**whole, "candidates": [{"index": 0, "finishReason": candidate["finishReason"]}]}
    return [*made, ("", last)]
