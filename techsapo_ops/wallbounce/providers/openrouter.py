"""Models of many vendors through OpenRouter, by chat completions over OpenAI's SDK.

Wire format: https://openrouter.ai/docs/api-reference/overview
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from techsapo_ops.wallbounce.prompts import Prompt
from techsapo_ops.wallbounce.providers.base import Completion, Tally
from techsapo_ops.wallbounce.providers.chat import Chunks, read_completion
from techsapo_ops.wallbounce.providers.kinds import ProviderKind, key
from techsapo_ops.wallbounce.providers.openai import OpenAISDK

if TYPE_CHECKING:
    from openai import AsyncOpenAI


class OpenRouter(OpenAISDK):
    """One model behind OpenRouter."""

    base_url = "https://openrouter.ai/api/v1"
    headers = {"X-Title": "TechSapo"}

    @override
    async def send(
        self, client: AsyncOpenAI, prompt: Prompt, system: str, tally: Tally, *, structured: bool
    ) -> Completion:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": prompt.user}],
            "max_tokens": self.max_output_tokens,
        }
        if structured:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": prompt.name, "strict": True, "schema": dict(prompt.schema)},
            }
        if not self.stream:
            return read_completion(await self.post(client, "/chat/completions", body), tally)
        chunks = Chunks()
        async for chunk in await client.chat.completions.create(
            **body, stream=True, stream_options={"include_usage": True}
        ):
            chunks.add(chunk.model_dump(), tally)
        return chunks.reply(tally)


KIND = ProviderKind(OpenRouter, lacks=key)
