"""Models of many vendors through OpenRouter, by chat completions.

Wire format: https://openrouter.ai/docs/api-reference/overview
"""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from techsapo_ops.wallbounce.providers.kinds import ProviderKind, key
from techsapo_ops.wallbounce.providers.listed import Listed, in_openrouters_list
from techsapo_ops.wallbounce.providers.openai_compatible import ChatModel


class OpenRouter(ChatModel):
    """One model behind OpenRouter."""

    @override
    def own_headers(self) -> dict[str, str]:
        return {"X-Title": "TechSapo"}

    @override
    def read_list(self, answer: Any) -> Listed:
        return in_openrouters_list(answer, self.model)


KIND = ProviderKind(OpenRouter, lacks=key)
