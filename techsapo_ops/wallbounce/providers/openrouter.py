"""Models of many vendors through OpenRouter, by chat completions over OpenAI's SDK.

Wire format: https://openrouter.ai/docs/api-reference/overview
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from techsapo_ops.wallbounce.prompts import Prompt
from techsapo_ops.wallbounce.providers.base import Reply
from techsapo_ops.wallbounce.providers.compatible import read_completion
from techsapo_ops.wallbounce.providers.openai import OpenAISDK
from techsapo_ops.wallbounce.providers.upstream import status_failure

if TYPE_CHECKING:
    from openai import AsyncOpenAI


class OpenRouter(OpenAISDK):
    """One model behind OpenRouter."""

    base_url = "https://openrouter.ai/api/v1"
    headers = {"X-Title": "TechSapo"}

    async def call(self, client: AsyncOpenAI, prompt: Prompt, system: str, *, structured: bool) -> Reply:
        """One chat completion. OpenRouter tells some failures in a body with status 200."""
        options: dict[str, Any] = {}
        if structured:
            options["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": prompt.name, "strict": True, "schema": dict(prompt.schema)},
            }
        completion = await client.chat.completions.create(
            model=self.model,
            messages=[{"role": "system", "content": system}, {"role": "user", "content": prompt.user}],
            max_tokens=self.max_output_tokens,
            **options,
        )
        body = completion.model_dump()
        raise_for_error(body)
        return read_completion(body)


def raise_for_error(body: Any) -> None:
    """Raise the error that a completion holds as a whole or in its first choice, as ProviderError."""
    if not isinstance(body, dict):
        return
    choices = body.get("choices") or [{}]
    error = body.get("error") or choices[0].get("error")
    if isinstance(error, dict):
        code = error.get("code")
        status = code if isinstance(code, int) and 400 <= code < 600 else 502
        raise status_failure(status, str(error.get("message", "")), {})
