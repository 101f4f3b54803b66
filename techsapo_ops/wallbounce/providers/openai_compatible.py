"""Any endpoint that speaks OpenAI's chat completions.

Wire format: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.spec.models.providers import CompatibleProvider
from techsapo_ops.wallbounce.prompts import Prompt
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.base import Completion, Tally
from techsapo_ops.wallbounce.providers.chat import Chunks, read_completion
from techsapo_ops.wallbounce.providers.kinds import ProviderKind, sendable, unknown
from techsapo_ops.wallbounce.providers.told import Told
from techsapo_ops.wallbounce.providers.wire import Form, Reading, WiredModel

_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""The fields that bound an answer, and the one in whose place each stands.

api.openai.com and Azure take the newer one alone, Ollama reads the older one alone; no server wants both.
"""
_NOT_TAKEN = re.compile(
    r"unsupported|not supported|unrecognized|unknown|unexpected|not permitted|not allowed|extra_forbidden"
    r"|use '?max_(?:completion_)?tokens",
    re.IGNORECASE,
)


class ChatModel(WiredModel):
    """A model that is asked by chat completions."""

    promised = msg("a chat completion")

    @override
    def url(self) -> str:
        return f"{self._base_url}/chat/completions"

    @override
    def request(self, prompt: Prompt, system: str, form: Form) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": prompt.user}],
            form.limit: self.max_output_tokens,
            **self.options(form),
        }
        if form.structured:
            request["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": prompt.name, "strict": True, "schema": prompt.schema},
            }
        if self.stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        return request

    def options(self, _form: Form) -> Mapping[str, Any]:
        """Further fields of each request."""
        return {}

    def bill(self, _usage: Any) -> float | None:
        """What the usage of a completion says that it costs, in USD."""
        return None

    @override
    def learn(self, form: Form, told: Told) -> Form | None:
        if _limit_refused(told, form.limit):
            return replace(form, limit=_LIMITS[form.limit])
        return super().learn(form, told)

    @override
    def read(self, reply: Any, tally: Tally) -> Completion:
        return read_completion(reply, tally, self.bill)

    @override
    def reading(self) -> Reading:
        return Chunks(self.bill)


class Compatible(ChatModel):
    """One model at an OpenAI-compatible endpoint."""

    def __init__(self, name: str, spec: CompatibleProvider, price: Price) -> None:
        super().__init__(name, spec, price)
        self._effort = spec.effort

    @override
    def options(self, _form: Form) -> Mapping[str, Any]:
        return {} if self._effort is None else {"reasoning_effort": self._effort}


KIND = ProviderKind(Compatible, lacks=sendable, price=unknown)


def _limit_refused(told: Told, field: str) -> bool:
    """Whether an endpoint refuses the name of `field`, not its value."""
    if told.status not in {400, 422}:
        return False
    named = told.param == field or re.search(rf"\b{field}\b", told.message) is not None
    coded = told.code in {"unsupported_parameter", "unknown_parameter"}
    return named and (coded or _NOT_TAKEN.search(told.message) is not None)
