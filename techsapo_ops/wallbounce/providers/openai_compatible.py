"""Any endpoint that speaks OpenAI's chat completions."""

from __future__ import annotations

from techsapo_ops.wallbounce.providers.body import Option
from techsapo_ops.wallbounce.providers.chat import ChatModel
from techsapo_ops.wallbounce.providers.kinds import ProviderKind, sendable, unknown


class Compatible(ChatModel):
    """One model at an OpenAI-compatible endpoint."""

    options = (Option("effort", "reasoning_effort"),)


KIND = ProviderKind(Compatible, lacks=sendable, price=unknown)
