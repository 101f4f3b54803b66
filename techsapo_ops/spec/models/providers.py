"""The providers that are asked: a model for each kind, and what holds for all of one kind."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from techsapo_ops.spec.models.base import (
    Duration,
    FilePath,
    Name,
    NotASwitch,
    PositiveDuration,
    Ratio,
    Section,
    Text,
    Url,
    Usd,
)
from techsapo_ops.spec.models.headers import Headers
from techsapo_ops.spec.secret import Secret

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class DearerPrice(Section):
    """Price in USD per million tokens of calls with a long question."""

    tokens: Annotated[int, Field(ge=1), NotASwitch]
    """It holds for the whole of a call with more than so many tokens in its question."""
    input: Usd
    """USD per million tokens of the question."""
    output: Usd
    """USD per million tokens of the answer."""
    cached_input: Usd | None = None
    """USD per million tokens that the vendor has in its cache; default: as `input`."""
    cache_write: Usd | None = None
    """USD per million tokens that it puts there; default: as `input`."""


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
    above: DearerPrice | None = None
    """What calls with a long question cost; default: the same."""


class Latency(Section):
    """Log-normal latency of a simulated provider."""

    mean: Duration = "300ms"
    """Mean time to an answer."""
    jitter: Ratio = 0.3
    """Standard deviation as a share of the mean."""


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
        base_url: str | None = getattr(self, "base_url", None)
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
    correlation: Ratio = 0.2
    """How often this provider errs on the same questions as the others."""
    same_wrong: Ratio = 0.3
    """Share of wrong answers that repeat the others' wrong answer."""
    grader_true_positive: Ratio = 0.85
    """Share of right answers of others that it grades as right."""
    grader_false_positive: Ratio = 0.15
    """Share of wrong answers of others that it grades as right."""
    latency: Latency = Field(default_factory=Latency.model_construct)
    """How long an answer takes."""
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

    api_key: Secret | None = None
    """API key, best as "${VARIABLE}"; while that is unset the provider is disabled."""
    api_key_file: FilePath | None = None
    """File that holds the API key, in place of `api_key`."""
    stream: bool = False
    """Read answers piece by piece as the model writes them, so that no proxy cuts a long silence."""
    headers: Headers | None = None
    """Further headers of each call by name; values are secrets, and NAME_file takes one from a file."""
    extra_body: dict[str, Any] | None = None
    """Further fields of each call's body, for what the vendor takes and the spec has no field for."""


class OpenAIProvider(KeyedProvider):
    """OpenAI's own API."""

    vendor = "openai"
    address: ClassVar[str] = "https://api.openai.com/v1"

    kind: Literal["openai"]
    """What answers: OpenAI."""
    base_url: Url | None = None
    """Another address of the API, e.g. a proxy."""
    reasoning_effort: Effort | None = None
    """How long a reasoning model thinks; each model takes some of these; default: the vendor's."""
    verbosity: Literal["low", "medium", "high"] | None = None
    """How much it writes; default: the vendor's."""


class CompatibleProvider(KeyedProvider):
    """Any endpoint that speaks OpenAI's chat completions: Ollama, vLLM, llama.cpp, LM Studio."""

    needs_key = False

    kind: Literal["openai-compatible"]
    """What answers: an endpoint with OpenAI's chat completions."""
    base_url: Url
    """Address up to and including the version, e.g. http://127.0.0.1:11434/v1."""
    reasoning_effort: Effort | None = None
    """How long a reasoning model thinks; each server takes some of these; default: the server's."""


class GoogleProvider(KeyedProvider):
    """Google's Gemini API."""

    vendor = "google"
    address: ClassVar[str] = "https://generativelanguage.googleapis.com"

    kind: Literal["google"]
    """What answers: Gemini."""
    base_url: Url | None = None
    """Another address of the API, e.g. a proxy; one with /publishers/google at its end is Vertex AI's."""
    thinking_budget: Annotated[int, Field(ge=-1), NotASwitch] | None = None
    """Tokens that Gemini 2.5 may think, out of `max_output_tokens`; 0 none, -1 any; default: the vendor's."""
    thinking_level: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None
    """How long Gemini 3 and later think; not every model takes `minimal`; default: the vendor's."""


class AnthropicProvider(KeyedProvider):
    """Anthropic's Claude API."""

    vendor = "anthropic"
    address: ClassVar[str] = "https://api.anthropic.com"

    kind: Literal["anthropic"]
    """What answers: Claude."""
    base_url: Url | None = None
    """Another address of the API, e.g. a proxy."""
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    """How much it does for an answer, thinking and words; default: the model's."""
    thinking: Literal["adaptive", "between_tools", "disabled", "enabled"] | None = None
    """Whether it thinks first: each model takes some of these; `enabled`, of older ones, with a budget."""
    thinking_budget: Annotated[int, Field(ge=1024), NotASwitch] | None = None
    """Tokens that it may think with `thinking: enabled`, out of `max_output_tokens`."""


class AgentProvider(ModelProvider):
    """Claude on a subscription in place of an API key; `pip install 'techsapo-ops[claude-agent]'` adds it.

    The user that runs the app has to log in once by the program `claude`.
    """

    vendor = "anthropic"

    kind: Literal["claude-agent"]
    """What answers: Claude, by the program `claude` of the Claude Agent SDK."""
    price: Price | None = None
    """Price to count; default: nothing, as the subscription has paid for it."""
    processes: Annotated[int, Field(ge=1, le=64), NotASwitch] = 4
    """Programs at once in one instance, each of about 200 MB; further questions wait."""


class Reasoning(Section):
    """How a model behind OpenRouter thinks. It takes one of `effort` and `max_tokens`."""

    effort: Effort | None = None
    """How long it thinks; where a model lacks a value, OpenRouter takes the nearest."""
    max_tokens: Annotated[int, Field(ge=1), NotASwitch] | None = None
    """Tokens that it may think, out of `max_output_tokens`."""
    exclude: bool | None = None
    """true: what it thought is not sent back; it is not read in any case."""
    enabled: bool | None = None
    """true: it thinks as OpenRouter thinks best."""


class Routing(Section):
    """Which endpoints OpenRouter may ask for an answer."""

    require_parameters: bool | None = None
    """Only those that take everything that is asked; default: true where the answer has a schema."""
    order: tuple[Text, ...] | None = None
    """Endpoints in the order in which they are tried."""
    only: tuple[Text, ...] | None = None
    """No others than these."""
    ignore: tuple[Text, ...] | None = None
    """Never these."""
    allow_fallbacks: bool | None = None
    """false: where the first ones fail, no other is tried."""
    data_collection: Literal["allow", "deny"] | None = None
    """deny: none that keeps what it is asked."""
    zdr: bool | None = None
    """true: only those that keep nothing at all (zero data retention)."""


class OpenRouterProvider(KeyedProvider):
    """Models of many vendors through OpenRouter."""

    vendor = "openrouter"

    kind: Literal["openrouter"]
    """What answers: a model behind OpenRouter."""
    base_url: Url = "https://openrouter.ai/api/v1"
    """Address of the API."""
    reasoning: Reasoning | None = None
    """How the model thinks; default: as OpenRouter thinks best."""
    provider: Routing | None = None
    """Which endpoints may answer; the names are OpenRouter's."""


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
        "sim-b": make(kind="simulated", seed=2, latency=Latency.model_construct(mean="450ms")),
        "sim-c": make(kind="simulated", seed=3, latency=Latency.model_construct(mean="200ms"), accuracy=0.75),
        "sim-d": make(kind="simulated", seed=4, latency=Latency.model_construct(mean="350ms")),
    }
