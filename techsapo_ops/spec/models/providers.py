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
    """USD per million tokens read from the vendor's cache; default: same as `input`."""
    cache_write: Usd | None = None
    """USD per million tokens written to the vendor's cache; default: same as `input`."""


class _Provider(Section):
    # What holds for every provider of a kind.
    simulated: ClassVar[bool] = False
    needs_key: ClassVar[bool] = False
    vendor: ClassVar[str | None] = None
    """Vendor that lists these models in catalogue/models.yaml, named as the kind that calls this vendor
    directly.
    """
    address: ClassVar[str | None] = None
    """Address of the vendor's API, unless `base_url` gives another address."""

    enabled: bool = True
    """If false, the provider stays in the spec but gets no calls."""
    timeout: PositiveDuration = "60s"
    """Longest wait for an answer from this provider."""
    price: Price | None = None
    """Price to use instead of the catalogue's. If the vendor itself reports the cost of a call (OpenRouter),
    the reported cost is used.
    """

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
    """Asks no vendor: a simulation answers."""
    seed: Annotated[int, NotASwitch] = 1
    """The same seed gives the same answers."""
    accuracy: Ratio = 0.8
    """Share of the questions that the simulation answers correctly."""
    latency: Duration = "300ms"
    """Mean time to an answer."""
    error_rate: Ratio = 0.0
    """Share of the requests that the simulation answers with a server error."""
    rate_limit_rate: Ratio = 0.0
    """Share of the requests that the simulation refuses with 429."""
    price: Price | None = Field(default_factory=lambda: Price.model_construct(input=1.0, output=4.0))
    """Simulated price. Nothing is paid, and it does not count against the budget unless
    `budget.count_simulated` is set.
    """


class ModelProvider(_Provider):
    """A language model at some endpoint."""

    model: Text
    """The vendor's name of the model."""
    max_output_tokens: Annotated[int, Field(ge=1), NotASwitch] | None = None
    """Longest answer in tokens, including hidden thinking. Default: depends on the model, see `techsapo
    providers list`.
    """
    attempts: Annotated[int, Field(ge=1, le=10), NotASwitch] = 3
    """Maximum number of calls for one answer: the first call, and the retries after 429, 5xx or a lost
    connection.
    """


class KeyedProvider(ModelProvider):
    """One that may be asked with an API key."""

    needs_key = True

    base_url: Url | None = None
    """Another address of the API, e.g. a proxy."""
    api_key: Secret | None = None
    """API key, preferably as "${VARIABLE}". While the variable is not set, the provider is disabled."""
    effort: Effort | None = None
    """Amount of thinking, sent in the vendor's own field. Each model accepts only some of these values.
    Default: the model's own.
    """
    stream: bool = False
    """Stream answers while the model writes them, so that no proxy closes the connection during a long
    silence.
    """
    headers: Headers | None = None
    """Further headers of each call, by name. Values are secrets; NAME_file reads a value from a file."""
    extra_body: dict[str, Any] | None = None
    """Further fields of each call's body, under the vendor's names, for options that the spec has no key
    for.
    """


class OpenAIProvider(KeyedProvider):
    """OpenAI's own API."""

    vendor = "openai"
    address: ClassVar[str] = "https://api.openai.com/v1"

    kind: Literal["openai"]
    """Asks OpenAI."""


class CompatibleProvider(KeyedProvider):
    """Any endpoint that speaks OpenAI's chat completions: Ollama, vLLM, llama.cpp, LM Studio."""

    needs_key = False

    kind: Literal["openai-compatible"]
    """Asks an endpoint that speaks OpenAI's chat completions."""
    base_url: Url
    """Address up to and including the version, e.g. http://127.0.0.1:11434/v1."""


class GoogleProvider(KeyedProvider):
    """Google's Gemini API."""

    vendor = "google"
    address: ClassVar[str] = "https://generativelanguage.googleapis.com"

    kind: Literal["google"]
    """Asks Gemini."""
    base_url: Url | None = None
    """Another address of the API, e.g. a proxy. An address that ends with /publishers/google means Vertex
    AI.
    """


class AnthropicProvider(KeyedProvider):
    """Anthropic's Claude API."""

    vendor = "anthropic"
    address: ClassVar[str] = "https://api.anthropic.com"

    kind: Literal["anthropic"]
    """Asks Claude."""


class AgentProvider(ModelProvider):
    """Claude on a subscription in place of an API key; `pip install 'techsapo-ops[claude-agent]'` adds it.

    The user that runs the app has to log in once by the program `claude`.
    """

    vendor = "anthropic"

    kind: Literal["claude-agent"]
    """Asks Claude through the program `claude` of the Claude Agent SDK."""
    price: Price | None = None
    """Price that is counted against the budget; default: 0, because the subscription covers the calls."""


class OpenRouterProvider(KeyedProvider):
    """Models of many vendors through OpenRouter."""

    vendor = "openrouter"
    address: ClassVar[str] = "https://openrouter.ai/api/v1"

    kind: Literal["openrouter"]
    """Asks a model through OpenRouter."""


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
