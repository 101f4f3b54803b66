"""The vendors' lists of models, each in its vendor's shape, by tests/cases/vendors/models.yaml.

Anthropic's and Google's come in pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from techsapo_ops.catalogue.yaml_text import read_yaml
from vendors.refusals import Refused, claude_refusal, gemini_refusal, openai_refusal, openrouter_refusal

_MODELS = read_yaml(
    (Path(__file__).parents[2] / "cases" / "vendors" / "models.yaml").read_text(encoding="utf-8")
)


@dataclass(frozen=True)
class Row:
    """One model as its vendor knows it."""

    id: str
    released: date = _MODELS["unknown_release"]
    retires: date | None = None
    lifecycle: str = "active"
    context: int | None = None
    max_output: int | None = None
    supports: Sequence[str] | None = None
    """OpenRouter: parameters that its endpoints declare; None: all."""
    price: Sequence[str] = ("0.000001", "0.000002")
    replies_as: str = ""
    second_hand: bool = False

    @property
    def created(self) -> int:
        return int(datetime.combine(self.released, datetime.min.time(), UTC).timestamp())


_SUPPORTED = ("max_tokens", "reasoning", "response_format", "structured_outputs", "verbosity")


def _rows(vendor: str) -> tuple[Row, ...]:
    return tuple(Row(**row) for row in _MODELS[vendor]["models"])


OPENAI, ANTHROPIC, GOOGLE, OPENROUTER, COMPATIBLE = (
    _rows(vendor) for vendor in ("openai", "anthropic", "google", "openrouter", "compatible")
)


def openai(request: web.Request, prefix: str, rows: list[Row]) -> dict[str, Any]:
    """OpenAI's list, or one model of it; each tells its shutdown_date."""
    told = [{**_plain(row, "openai"), "shutdown_date": _day(row.retires)} for row in rows]
    return _all_or_one(request, prefix, told)


def served(request: web.Request, prefix: str, rows: list[Row]) -> dict[str, Any]:
    """The list of a server on one's own machine, or one model of it: names, and no day on which any ends."""
    return _all_or_one(request, prefix, [_plain(row, "library") for row in rows])


def vllm(request: web.Request, prefix: str, rows: list[Row]) -> dict[str, Any]:
    """vLLM's list, which tells the context that the server was started with."""
    told = [
        {
            **_plain(row, "vllm"),
            "root": row.id,
            "parent": None,
            "max_model_len": row.context,
            "permission": [],
        }
        for row in rows
    ]
    return _all_or_one(request, prefix, told)


def llama_cpp(request: web.Request, prefix: str, rows: list[Row]) -> dict[str, Any]:
    """llama-server's list, which has no address for one model."""
    told = [{**_plain(row, "llamacpp"), "meta": {"n_ctx_train": row.context}} for row in rows]
    if request.path != f"{prefix}/models":
        raise Refused(404, {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}})
    return {"object": "list", "data": told, "models": [{"name": row.id, "model": row.id} for row in rows]}


def openrouter(request: web.Request, rows: list[Row]) -> dict[str, Any]:
    """OpenRouter's list, which it gives without a key, or what it knows of the key itself."""
    if request.path == "/api/v1/key":
        return {"data": {"label": "lab", "limit": None, "limit_remaining": None, "usage": 0}}
    if request.path != "/api/v1/models":
        raise openrouter_refusal(404, "Not Found")
    told = [
        {
            "id": row.id,
            "canonical_slug": row.id,
            "name": row.id,
            "created": row.created,
            "context_length": row.context,
            "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
            "pricing": {"prompt": row.price[0], "completion": row.price[1], "request": "0", "image": "0"},
            "top_provider": {
                "context_length": row.context,
                "max_completion_tokens": row.max_output,
                "is_moderated": False,
            },
            "supported_parameters": list(row.supports or _SUPPORTED),
            "expiration_date": _day(row.retires),
        }
        for row in rows
    ]
    return {"data": told}


def anthropic(request: web.Request, rows: list[Row]) -> dict[str, Any]:
    """Anthropic's list in pages of `limit`, 20 at first, or one model of it."""
    told = [
        {
            "type": "model",
            "id": row.id,
            "display_name": row.id,
            "created_at": f"{row.released}T00:00:00Z",
            "lifecycle": row.lifecycle,
            "deprecated_at": None if row.lifecycle == "active" else f"{row.released}T00:00:00Z",
            "retires_at": row.retires and f"{row.retires}T00:00:00Z",
            "line": None,
            "max_input_tokens": row.context,
            "max_tokens": row.max_output,
            "capabilities": None,
        }
        for row in rows
    ]
    named = request.path.removeprefix("/v1/models").lstrip("/")
    if named:
        found = [model for model in told if model["id"] == named]
        if not found:
            raise claude_refusal(404, "not_found_error", f"model: {named}")
        return found[0]
    limit = _size(request.query.get("limit", "20"))
    if limit is None:
        raise claude_refusal(400, "invalid_request_error", "limit: Input should be between 1 and 1000")
    after = request.query.get("after_id")
    start = 1 + [model["id"] for model in told].index(after) if after else 0
    page = told[start : start + limit]
    return {
        "data": page,
        "has_more": start + limit < len(told),
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def google(request: web.Request, rows: list[Row]) -> dict[str, Any]:
    """Google's list in pages of `pageSize`, 50 at first, or one model of it. It tells no model's end."""
    told = [
        {
            "name": f"models/{row.id}",
            "version": "001",
            "displayName": row.id,
            "inputTokenLimit": row.context,
            "outputTokenLimit": row.max_output,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
            "temperature": 1,
            "maxTemperature": 2,
            "topP": 0.95,
            "topK": 64,
            "thinking": True,
        }
        for row in rows
    ]
    version, _, named = request.path.strip("/").partition("/models")
    if version not in {"v1", "v1beta"}:
        raise gemini_refusal(404, "NOT_FOUND", f"no such path: {request.path}")
    if named:
        found = [model for model in told if model["name"] == f"models{named}"]
        if not found:
            text = f"models{named} is not found for API version {version}"
            raise gemini_refusal(404, "NOT_FOUND", text)
        return found[0]
    size = _size(request.query.get("pageSize", "50"))
    if size is None:
        raise gemini_refusal(400, "INVALID_ARGUMENT", "page_size must be between 1 and 1000")
    start = int(request.query.get("pageToken", "0"))
    more = {"nextPageToken": str(start + size)} if start + size < len(told) else {}
    return {"models": told[start : start + size], **more}


def _plain(row: Row, owner: str) -> dict[str, Any]:
    return {"id": row.id, "object": "model", "created": row.created, "owned_by": owner}


def _all_or_one(request: web.Request, prefix: str, told: list[dict[str, Any]]) -> dict[str, Any]:
    named = request.path.removeprefix(f"{prefix}/models").lstrip("/")
    if not named:
        return {"object": "list", "data": told}
    found = [model for model in told if model["id"] == named]
    if not found:
        raise openai_refusal(404, f"The model '{named}' does not exist", "model", "model_not_found")
    return found[0]


def _size(given: str) -> int | None:
    """A page's size, if the vendor takes it."""
    return int(given) if given.isdecimal() and 1 <= int(given) <= 1000 else None


def _day(day: date | None) -> str | None:
    return day and day.isoformat()
