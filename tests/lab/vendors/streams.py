"""The vendors' streams: the events that add up to a whole reply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Event = tuple[str, dict[str, Any]]
"""Its name, empty where the vendor gives none, and its data."""
PIECE = 12


def pieces(text: str) -> Iterator[str]:
    """`text` in pieces of PIECE characters."""
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE]


def chat_events(whole: dict[str, Any]) -> list[Event]:
    """Chunks that add up to a chat completion; the usage comes last, in a chunk without choices.

    What the message holds beside its content, such as `reasoning`, comes before it.
    """
    choice = whole["choices"][0]
    message = choice["message"]
    same = {"id": whole["id"], "object": "chat.completion.chunk", "created": whole["created"]}
    same |= {name: whole[name] for name in ("system_fingerprint",) if name in whole}

    def chunk(delta: dict[str, Any] | None, usage: Any = None, **more: Any) -> Event:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": None, **more}]
        return "", {**same, "model": whole["model"], "choices": choices, "usage": usage}

    made = [chunk({"role": "assistant", "content": ""})]
    for name in ("reasoning", "reasoning_content", "refusal"):
        made += [chunk({name: piece}) for piece in pieces(message.get(name) or "")]
    made += [chunk({"content": piece}) for piece in pieces(message["content"] or "")]
    ends = {name: value for name, value in choice.items() if name not in {"index", "message", "logprobs"}}
    made.append(chunk({}, **ends))
    if whole.get("usage"):
        made.append(chunk(None, usage=whole["usage"]))
    return made


def responses_events(whole: dict[str, Any]) -> list[Event]:
    """Events of the Responses API; the last one holds the whole response."""
    made: list[Event] = []

    def tell(kind: str, **data: Any) -> None:
        made.append((kind, {"type": kind, "sequence_number": len(made), **data}))

    begun = {**whole, "status": "in_progress", "output": [], "incomplete_details": None}
    begun.pop("usage", None)
    tell("response.created", response=begun)
    tell("response.in_progress", response=begun)
    for index, item in enumerate(whole["output"]):
        at = {"output_index": index, "item_id": item["id"]}
        empty = {**item, **({"content": []} if "content" in item else {}), "status": "in_progress"}
        tell("response.output_item.added", output_index=index, item=empty)
        for number, part in enumerate(item.get("content", ())):
            kind, field = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
            here = {**at, "content_index": number}
            logged: dict[str, Any] = {} if kind == "refusal" else {"logprobs": []}
            tell("response.content_part.added", **here, part={**part, field: ""})
            for piece in pieces(part[field]):
                tell(f"response.{kind}.delta", **here, delta=piece, **logged)
            tell(f"response.{kind}.done", **here, **{field: part[field]}, **logged)
            tell("response.content_part.done", **here, part=part)
        tell("response.output_item.done", output_index=index, item=item)
    tell(f"response.{whole['status']}", response=whole)
    return made


def responses_error(message: str, code: str) -> Event:
    """The error event of the Responses API."""
    return "error", {"type": "error", "code": code, "message": message, "param": None, "sequence_number": 9}


def claude_events(whole: dict[str, Any]) -> list[Event]:
    """Events of the Messages API: input is counted at the start, output at the end."""
    usage = whole["usage"]
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    begun.pop("stop_details", None)
    made: list[Event] = [("message_start", {"type": "message_start", "message": begun})]

    def tell(kind: str, **data: Any) -> None:
        made.append((kind, {"type": kind, **data}))

    for index, block in enumerate(whole["content"]):
        deltas: list[dict[str, Any]]
        if block["type"] == "thinking":
            empty = {**block, "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        else:
            empty = {**block, "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        tell("content_block_start", index=index, content_block=empty)
        for delta in deltas:
            tell("content_block_delta", index=index, delta=delta)
        tell("content_block_stop", index=index)
    end = {name: whole[name] for name in ("stop_reason", "stop_sequence", "stop_details") if name in whole}
    tell("message_delta", delta=end, usage=usage)
    tell("message_stop")
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
    ends = {name: value for name, value in candidate.items() if name != "content"}
    return [*made, ("", {**whole, "candidates": [ends]})]
