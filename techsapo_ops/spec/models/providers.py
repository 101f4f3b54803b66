"""The providers that are asked: a model for each kind, and what holds for all of one kind."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from techsapo_ops.spec.models.base import (
    Duration,
    Name,
    NotASwitch,
    PositiveDuration,
    Ratio,
    Section,
    Text,
    Url,
    Usd,
)
from techsapo_ops.spec.secret import Headers, Secret

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Price(Section):
    """Price in USD per million tokens."""

    input: Usd = 0.0
    """USD per million tokens of the question."""
    output: Usd = 0.0
    """USD per million tokens of the answer, thinking included."""
    cached_input: Usd | None = None
    """USD per million tokens that the vendor has in its cache; default: as `input`."""
    cache_write: Usd | None = None
    """USD per million tokens that it puts there; default: as `input`."""


class _Provider(Section):
    # What holds for every provider of a kind.
    simulated: ClassVar[bool] = False
    needs_key: ClassVar[bool] = False
    vendor: ClassVar[str | None] = None
    """The vendor, by the kind that asks it itself, whose models of catalogue/models.yaml these are."""
    address: ClassVar[str | None] = None
    """Where that vendor is asked, unless `base_url` names another address."""

    enabled: bool = True
    """false: the provider is kept in the spec but not asked."""
    timeout: PositiveDuration = "60s"
    """Longest wait for an answer of this provider."""
    price: Price | None = None
    """Overrides the known price; what a vendor says that it charges (OpenRouter) counts before both."""

    @property
    def at_vendor(self) -> bool:
        """Whether its vendor itself is asked: at another host a proxy or another cloud answers."""
        base_url: str | None = getattr(self, "base_url", None)  # not of every kind
        if base_url is None:
            return self.vendor is not None
        return self.address is not None and _host(base_url) == _host(self.address)


def _host(url: str) -> str | None:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:  # told by the rule about addresses
        return None


class SimulatedProvider(_Provider):
    """Answers without any vendor, from a seed: for trying, load tests and drills."""

    simulated = True

    kind: Literal["simulated"]
    """What answers: no vendor, a seeded simulation."""
    seed: Annotated[int, NotASwitch] = 1
    """Same seed, same answers."""
    accuracy: Ratio = 0.8
    """Share of the questions answered right."""
    latency: Duration = "300ms"
    """Mean time to an answer."""
    error_rate: Ratio = 0.0
    """Share of the requests that fail with a server error."""
    rate_limit_rate: Ratio = 0.0
    """Share of the requests that are turned away with 429."""
    price: Price | None = Field(default_factory=lambda: Price.model_construct(input=1.0, output=4.0))
    """Pretended price; nothing is paid, and no budget used up unless `budget.count_simulated`."""


class ModelProvider(_Provider):
    """A language model at some endpoint."""

    model: Text
    """The vendor's name of the model."""
    max_output_tokens: Annotated[int, Field(ge=1), NotASwitch] | None = None
    """Longest answer with hidden thinking, in tokens; default: by model, see `techsapo providers list`."""
    attempts: Annotated[int, Field(ge=1, le=10), NotASwitch] = 3
    """Calls for one answer: the first, and those made again after 429, 5xx or a lost connection."""


class KeyedProvider(ModelProvider):
    """One that may be asked with an API key."""

    needs_key = True

    base_url: Url | None = None
    """Another address of the API, e.g. a proxy."""
    api_key: Secret | None = None
    """API key, best as "${VARIABLE}"; while that is unset the provider is disabled."""
    effort: Effort | None = None
    """How long it thinks, under its vendor's name for it; models take some of these; default: the model's."""
    stream: bool = False
    """Read answers piece by piece as the model writes them, so that no proxy cuts a long silence."""
    headers: Headers | None = None
    """Further headers of each call by name; values are secrets, and NAME_file takes one from a file."""
    extra_body: dict[str, Any] | None = None
    """Further fields of each call's body, by the vendor's names: all options that are not of every kind."""


class OpenAIProvider(KeyedProvider):
    """OpenAI's own API."""

    vendor = "openai"
    address: ClassVar[str] = "https://api.openai.com/v1"

    kind: Literal["openai"]
    """What answers: OpenAI."""


class CompatibleProvider(KeyedProvider):
    """Any endpoint that speaks OpenAI's chat completions: Ollama, vLLM, llama.cpp, LM Studio."""

    needs_key = False

    kind: Literal["openai-compatible"]
    """What answers: an endpoint with OpenAI's chat completions."""
    base_url: Url
    """Address up to and including the version, e.g. http://127.0.0.1:11434/v1."""


class GoogleProvider(KeyedProvider):
    """Google's Gemini API."""

    vendor = "google"
    address: ClassVar[str] = "https://generativelanguage.googleapis.com"

    kind: Literal["google"]
    """What answers: Gemini."""
    base_url: Url | None = None
    """Another address of the API, e.g. a proxy; one with /publishers/google at its end is Vertex AI's."""


class AnthropicProvider(KeyedProvider):
    """Anthropic's Claude API."""

    vendor = "anthropic"
    address: ClassVar[str] = "https://api.anthropic.com"

    kind: Literal["anthropic"]
    """What answers: Claude."""


class AgentProvider(ModelProvider):
    """Claude on a subscription in place of an API key; `pip install 'techsapo-ops[claude-agent]'` adds it.

    The user that runs the app has to log in once by the program `claude`.
    """

    vendor = "anthropic"

    kind: Literal["claude-agent"]
    """What answers: Claude, by the program `claude` of the Claude Agent SDK."""
    price: Price | None = None
    """Price to count; default: nothing, as the subscription has paid for it."""


class OpenRouterProvider(KeyedProvider):
    """Models of many vendors through OpenRouter."""

    vendor = "openrouter"
    address: ClassVar[str] = "https://openrouter.ai/api/v1"

    kind: Literal["openrouter"]
    """What answers: a model behind OpenRouter."""


Provider = Annotated[
    SimulatedProvider
    | OpenAIProvider
    | CompatibleProvider
    | GoogleProvider
    | AnthropicProvider
    | AgentProvider
    | OpenRouterProvider,
    Field(discriminator="kind"),
]
Providers = dict[Name, Provider]


def default_providers() -> Providers:
    """The simulated providers that answer while no real one is configured, as many as `critical` asks."""
    make = SimulatedProvider.model_construct
    return {
        "sim-a": make(kind="simulated", seed=1),
        "sim-b": make(kind="simulated", seed=2, latency="450ms"),
        "sim-c": make(kind="simulated", seed=3, latency="200ms", accuracy=0.75),
        "sim-d": make(kind="simulated", seed=4, latency="350ms"),
    }
