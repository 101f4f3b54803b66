"""Models of many vendors through OpenRouter, by chat completions.

Wire format: https://openrouter.ai/docs/api-reference/overview
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from typing_extensions import override

from techsapo_ops.wallbounce.causes import Cause
from techsapo_ops.wallbounce.providers.body import Option
from techsapo_ops.wallbounce.providers.chat import ChatModel
from techsapo_ops.wallbounce.providers.kinds import ProviderKind, key
from techsapo_ops.wallbounce.providers.listed import Listed, in_openrouters_list
from techsapo_ops.wallbounce.providers.reading import at
from techsapo_ops.wallbounce.providers.vendor_error import VendorError
from techsapo_ops.wallbounce.providers.wire import Form


class OpenRouter(ChatModel):
    """One model behind OpenRouter."""

    own_headers = {"X-Title": "TechSapo"}
    # An endpoint that would ignore the answer's schema is not asked; in words there is none to ignore.
    schema = {**ChatModel.schema, "provider": {"require_parameters": True}}
    options = (Option("effort", "reasoning.effort"),)

    @override
    def read_list(self, answer: Any) -> Listed:
        return in_openrouters_list(answer, self.model)

    @override
    def learn(self, form: Form, told: VendorError) -> Form | None:
        # With `require_parameters` no endpoint may be left that takes a schema: 404.
        if form.structured and told.status == 404 and told.cause is Cause.PARAMETER:
            return replace(form, structured=False)
        return super().learn(form, told)

    @override
    def bill(self, usage: Any) -> float | None:
        """With a key of one's own at the vendor, `cost` is OpenRouter's fee alone."""
        cost = _usd(usage.get("cost"))
        if cost is not None and usage.get("is_byok"):
            return cost + (_usd(at(usage, "cost_details.upstream_inference_cost")) or 0.0)
        return cost


def _usd(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


KIND = ProviderKind(OpenRouter, lacks=key)
