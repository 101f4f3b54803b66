"""Any endpoint that speaks OpenAI's chat completions.

Wire format: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from techsapo_ops.wallbounce.prompts import Prompt
from techsapo_ops.wallbounce.providers.base import Completion, Tally
from techsapo_ops.wallbounce.providers.chat import Chunks, read_completion
from techsapo_ops.wallbounce.providers.kinds import ProviderKind, nothing, unknown
from techsapo_ops.wallbounce.providers.wire import Form, Reading, WiredModel


class ChatModel(WiredModel):
    """A model that is asked by chat completions."""

    promised = "a chat completion"

    @override
    def url(self) -> str:
        return f"{self._base_url}/chat/completions"

    @override
    def request(self, prompt: Prompt, system: str, form: Form) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": prompt.user}],
            "max_tokens": self.max_output_tokens,
        }
        if form.structured:
            request["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": prompt.name, "strict": True, "schema": prompt.schema},
            }
        if self.stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        return request

    @override
    def read(self, reply: Any, tally: Tally) -> Completion:
        return read_completion(reply, tally)

    @override
    def reading(self) -> Reading:
        return Chunks()


KIND = ProviderKind(ChatModel, lacks=nothing, price=unknown)
