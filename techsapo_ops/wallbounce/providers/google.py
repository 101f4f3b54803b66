"""Gemini by Google's Generative Language API.

Wire format: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import re
from typing import Any

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.providers.base import Completion, Tally
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.reading import LIMIT, SCHEMA, SYSTEM, USER, Counts, Ending, at, refusal
from techsapo_ops.wallbounce.providers.wire import WiredModel

_VERTEX = re.compile(r"/publishers/[^/]+\Z")
"""How the path of a base URL ends that is Vertex AI's: it holds the version, the project and the place."""
_API_VERSION = "v1beta"
"""In v1, generateContent knows neither systemInstruction nor responseMimeType nor thinkingConfig: 400
(googleapis/googleapis, google/ai/generativelanguage/v1/generative_service.proto, 2026-08-22).
"""
_REFUSALS = (
    "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "MODEL_ARMOR",
    "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
)  # fmt: skip
_EARLY = (
    "OTHER", "MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE", "NO_IMAGE", "IMAGE_OTHER", "ESCALATION", "PUP_LIMITED_DISABLED",
)  # fmt: skip
"""Reasons that say neither that it is whole nor that tokens ran out: an answer that is whole counts."""


class Google(WiredModel):
    """One Gemini model."""

    kind = "google"
    listed_at = "name"
    login = ("x-goog-api-key", "{key}")
    body = {
        "systemInstruction": {"parts": [{"text": SYSTEM}]},
        "contents": [{"role": "user", "parts": [{"text": USER}]}],
        "generationConfig": {"maxOutputTokens": LIMIT},
    }
    schema = {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}}
    streaming = {}
    effort_at = "generationConfig.thinkingConfig.thinkingLevel"
    effort_upper = True
    version_at = "modelVersion"
    counts = Counts(
        read=("promptTokenCount",),
        written=("candidatesTokenCount", "thoughtsTokenCount"),
        cached="cachedContentTokenCount",
        thinking="thoughtsTokenCount",
        zero_unsaid=True,
    )
    counted_late = True
    finish_at = ("candidates.0.finishReason",)
    detail_at = "candidates.0.finishReason"
    endings = {
        **dict.fromkeys(_REFUSALS, Ending.REFUSED),
        **dict.fromkeys(_EARLY, Ending.EARLY),
        "MAX_TOKENS": Ending.CUT_OFF,
        "CONTINUATION": Ending.CUT_OFF,
    }

    @override
    def url(self) -> str:
        method = "streamGenerateContent?alt=sse" if self.stream else "generateContent"
        return f"{self._model_url}:{method}"

    @override
    def list_url(self) -> str | None:
        return None if _VERTEX.search(self.base_url) else self._model_url

    @property
    def _model_url(self) -> str:
        model = self.model if "/" in self.model else f"models/{self.model}"
        version = "" if _VERTEX.search(self.base_url) else f"/{_API_VERSION}"
        return f"{self.base_url}{version}/{model}"

    @override
    def read(self, reply: Any, tally: Tally) -> Completion:
        completion = super().read(reply, tally)
        if not at(reply, "candidates"):
            raise ProviderError(FailureKind.BAD_ANSWER, msg("the reply has no candidate"), began=True)
        return completion

    @override
    def check(self, document: Any) -> None:
        blocked = at(document, "promptFeedback.blockReason")
        if blocked is not None:
            raise refusal(blocked, began=False)

    @override
    def text(self, document: Any) -> str:
        """The first candidate's text without its thoughts."""
        candidates = document.get("candidates")
        content = candidates[0].get("content") if candidates else None
        parts = (content or {}).get("parts") or []
        return "".join(part["text"] for part in parts if part.get("text") and not part.get("thought"))
