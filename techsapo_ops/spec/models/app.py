"""The orchestrator application: where it listens, what it accepts, what it may spend."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from techsapo_ops.spec.models.base import (
    Count,
    Duration,
    ListenHost,
    Name,
    Port,
    PositiveDuration,
    Ratio,
    Section,
    Size,
    Text,
    Url,
    Usd,
)
from techsapo_ops.spec.secret import Secret


class Instance(Section):
    """One process of the app."""

    port: Port
    weight: Annotated[int, Field(ge=1, le=100)] = 1
    """Share of the requests that nginx sends here."""
    backup: bool = False
    """Gets requests only while all others are down."""


class Limits(Section):
    """What one instance accepts before it answers 413, 422 or 503."""

    max_body: Size = "1M"
    max_prompt: Annotated[int, Field(ge=1)] = 20000
    """Longest prompt, in characters."""
    concurrency: Annotated[int, Field(ge=1)] = 64
    """Analyses under way at once in one instance; more are answered 503 with Retry-After."""
    request_timeout: PositiveDuration = "120s"


class App(Section):
    """The orchestrator API (`techsapo serve`)."""

    host: ListenHost = "127.0.0.1"
    """Address to listen on."""
    port: Port = 4000
    """Port of the single instance; `instances` takes its place."""
    instances: tuple[Instance, ...] = ()
    """Several processes with nginx in front of them."""
    limits: Limits = Limits()
    drain: Duration = "5s"
    """How long new requests are still served after SIGTERM, while /ping already answers 503."""

    @property
    def resolved_instances(self) -> tuple[Instance, ...]:
        """The instances that run: those listed, or the single one on `port`."""
        return self.instances or (Instance(port=self.port),)


class Price(Section):
    """Price in USD per million tokens."""

    input: Usd = 0.0
    output: Usd = 0.0


class Latency(Section):
    """Log-normal latency of a simulated provider."""

    mean: Duration = "300ms"
    jitter: Ratio = 0.3
    """Standard deviation as a share of the mean."""


class _Provider(Section):
    enabled: bool = True
    timeout: PositiveDuration = "60s"
    price: Price | None = None
    """Overrides the known price."""


class SimulatedProvider(_Provider):
    """Answers without any vendor, from a seed: for trying, load tests and drills."""

    kind: Literal["simulated"]
    seed: int = 1
    accuracy: Ratio = 0.8
    correlation: Ratio = 0.2
    """How often this provider errs on the same questions as the others."""
    same_wrong: Ratio = 0.3
    """Share of wrong answers that repeat the others' wrong answer."""
    grader_true_positive: Ratio = 0.85
    grader_false_positive: Ratio = 0.15
    latency: Latency = Latency()
    error_rate: Ratio = 0.0
    rate_limit_rate: Ratio = 0.0
    price: Price | None = Price(input=1.0, output=4.0)


class _KeyedProvider(_Provider):
    model: Text
    api_key: Secret | None = None
    api_key_file: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] = 4096


class OpenAIProvider(_KeyedProvider):
    kind: Literal["openai"]
    base_url: Url | None = None
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class CompatibleProvider(_KeyedProvider):
    """Any endpoint that speaks OpenAI's chat completions: Ollama, vLLM, llama.cpp, LM Studio."""

    kind: Literal["openai-compatible"]
    base_url: Url


class GoogleProvider(_KeyedProvider):
    kind: Literal["google"]
    base_url: Url | None = None


class AnthropicProvider(_KeyedProvider):
    kind: Literal["anthropic"]
    base_url: Url | None = None


class OpenRouterProvider(_KeyedProvider):
    kind: Literal["openrouter"]
    base_url: Url = "https://openrouter.ai/api/v1"


Provider = Annotated[
    SimulatedProvider
    | OpenAIProvider
    | CompatibleProvider
    | GoogleProvider
    | AnthropicProvider
    | OpenRouterProvider,
    Field(discriminator="kind"),
]
Providers = dict[Name, Provider]


def default_providers() -> Providers:
    """The simulated providers that answer while no real one is configured."""
    return {
        "sim-a": SimulatedProvider(kind="simulated", seed=1),
        "sim-b": SimulatedProvider(kind="simulated", seed=2, latency=Latency(mean="450ms")),
        "sim-c": SimulatedProvider(kind="simulated", seed=3, latency=Latency(mean="200ms"), accuracy=0.75),
    }


class Tier(Section):
    """How many providers answer a task type, and the confidence its answer needs."""

    providers: Annotated[int, Field(ge=2, le=8)]
    confidence: Ratio


class Tiers(Section):
    basic: Tier = Tier(providers=2, confidence=0.7)
    premium: Tier = Tier(providers=3, confidence=0.8)
    critical: Tier = Tier(providers=4, confidence=0.9)


class WallBounce(Section):
    """How answers are compared."""

    tiers: Tiers = Tiers()
    consensus: Ratio = 0.6
    max_bounces: Annotated[int, Field(ge=0, le=5)] = 2
    language: Literal["auto", "ja", "en"] = "auto"
    """Language of the answers; auto follows the question."""
    cache_ttl: Duration = "1h"
    """How long an answer is reused for the same prompt; 0s turns the cache off."""
    mask_prompts: bool = False
    """Mask secrets and personal data before prompts reach the providers."""


class Budget(Section):
    """What may be spent on providers, in USD."""

    monthly_usd: Usd = 70.0
    daily_usd: Usd | None = None
    """Default: a thirtieth of the month."""
    per_request_usd: Usd | None = None
    warn_at: Ratio = 0.8
    unknown_price: Literal["refuse", "reserve"] = "refuse"

    @property
    def resolved_daily_usd(self) -> float:
        """The day's budget in USD."""
        return self.monthly_usd / 30 if self.daily_usd is None else self.daily_usd

    @model_validator(mode="after")
    def _day_fits_month(self) -> Budget:
        if self.daily_usd is not None and self.daily_usd > self.monthly_usd:
            raise ValueError("daily_usd is more than monthly_usd")
        return self


class Audit(Section):
    """What the audit log keeps of each request."""

    prompt: Literal["hash", "masked"] = "hash"
    keep_days: Count = 365
    """Rows older than this are removed every night; 0 keeps all."""
