"""The orchestrator application: where it listens, what it accepts, what it may spend."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from techsapo_ops.spec.models.base import (
    Count,
    Duration,
    FilePath,
    ListenHost,
    Name,
    NotASwitch,
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
    """Port this process listens on."""
    weight: Annotated[int, Field(ge=1, le=100), NotASwitch] = 1
    """Share of the requests that nginx sends here."""
    backup: bool = False
    """Gets requests only while all others are down."""


class Limits(Section):
    """What one instance accepts before it answers 413, 422 or 503."""

    max_body: Size = "1M"
    """Largest request body; more is answered 413."""
    max_prompt: Annotated[int, Field(ge=1), NotASwitch] = 20000
    """Longest prompt, in characters; more is answered 422."""
    concurrency: Annotated[int, Field(ge=1), NotASwitch] = 64
    """Analyses under way at once in one instance; more are answered 503 with Retry-After."""
    request_timeout: PositiveDuration = "120s"
    """Longest time an analysis may take."""


class Plans(Section):
    """Requests a minute that an API key may make, by its plan; more are answered 429."""

    basic: Annotated[int, Field(ge=1), NotASwitch] = 100
    """Requests a minute of a key with plan basic."""
    standard: Annotated[int, Field(ge=1), NotASwitch] = 1000
    """Requests a minute of a key with plan standard."""
    premium: Annotated[int, Field(ge=1), NotASwitch] = 5000
    """Requests a minute of a key with plan premium."""


class Auth(Section):
    """Who may ask. `techsapo keys create` makes an API key."""

    required: bool | None = None
    """Whether requests need an API key; default: where app or nginx listens beyond loopback."""
    refuse_without_keys: bool | None = None
    """Whether the app refuses to start while there is no key; default: in environment production."""
    keys_file: FilePath | None = None
    """File with the keys' digests; default: api-keys/keys.json in the state directory."""
    proxies: tuple[Text, ...] = ()
    """Addresses or host names whose X-Forwarded-For is believed; default: the stack's own nginx."""
    plans: Plans = Field(default_factory=Plans.model_construct)
    """Requests a minute by plan."""


class Anomalies(Section):
    """From where on requests count as anomalies; they are answered all the same (docs/anomalies.md)."""

    requests: Annotated[int, Field(ge=1), NotASwitch] = 6000
    """Requests a minute from one address; more are a burst."""
    unknown_paths: Annotated[int, Field(ge=1), NotASwitch] = 20
    """Requests a minute from one address for paths that there are not; more are a scan."""
    key_networks: Annotated[int, Field(ge=1), NotASwitch] = 5
    """Networks (IPv4 /24, IPv6 /48) from which one API key may come within an hour; one more is misuse."""


class App(Section):
    """The orchestrator API (`techsapo serve`)."""

    host: ListenHost = "127.0.0.1"
    """Address to listen on."""
    port: Port = 4000
    """Port of the single instance; `instances` takes its place."""
    instances: tuple[Instance, ...] = ()
    """Several processes with nginx in front of them."""
    limits: Limits = Field(default_factory=Limits.model_construct)
    """What one instance accepts."""
    auth: Auth = Field(default_factory=Auth.model_construct)
    """Who may ask."""
    anomalies: Anomalies = Field(default_factory=Anomalies.model_construct)
    """From where on requests count as anomalies."""
    drain: Duration = "5s"
    """How long new requests are still served after SIGTERM, while /ping already answers 503."""

    @property
    def resolved_instances(self) -> tuple[Instance, ...]:
        """The instances that run: those listed, or the single one on `port`."""
        return self.instances or (Instance.model_construct(port=self.port),)


class Price(Section):
    """Price in USD per million tokens."""

    input: Usd = 0.0
    """USD per million tokens of the question."""
    output: Usd = 0.0
    """USD per million tokens of the answer."""


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
    announced_by: ClassVar[str | None] = None
    """The vendor, by the kind that asks it itself, whose announcements of retired models hold here."""

    enabled: bool = True
    """false: the provider is kept in the spec but not asked."""
    timeout: PositiveDuration = "60s"
    """Longest wait for an answer of this provider."""
    price: Price | None = None
    """Overrides the known price."""


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


class _ModelProvider(_Provider):
    model: Text
    """The vendor's name of the model."""
    max_output_tokens: Annotated[int, Field(ge=1), NotASwitch] = 4096
    """Longest answer, in tokens."""
    attempts: Annotated[int, Field(ge=1, le=10), NotASwitch] = 3
    """Calls for one answer: the first, and those made again after 429, 5xx or a lost connection."""


class KeyedProvider(_ModelProvider):
    """One that may be asked with an API key."""

    needs_key = True

    api_key: Secret | None = None
    """API key, best as "${VARIABLE}"; while that is unset the provider is disabled."""
    api_key_file: FilePath | None = None
    """File that holds the API key, in place of `api_key`."""
    stream: bool = False
    """Read answers piece by piece as the model writes them, so that no proxy cuts a long silence."""


class OpenAIProvider(KeyedProvider):
    """OpenAI's own API."""

    announced_by = "openai"

    kind: Literal["openai"]
    """What answers: OpenAI."""
    base_url: Url | None = None
    """Another address of the API, e.g. a proxy."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
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


class GoogleProvider(KeyedProvider):
    """Google's Gemini API."""

    announced_by = "google"

    kind: Literal["google"]
    """What answers: Gemini."""
    base_url: Url | None = None
    """Another address of the API, e.g. a proxy."""
    thinking_budget: Annotated[int, Field(ge=-1), NotASwitch] | None = None
    """Tokens that Gemini 2.5 may think, out of `max_output_tokens`; 0 none, -1 any; default: the vendor's."""
    thinking_level: Literal["minimal", "low", "medium", "high"] | None = None
    """How long Gemini 3 and later think; not every model takes `minimal`; default: the vendor's."""


class AnthropicProvider(KeyedProvider):
    """Anthropic's Claude API."""

    announced_by = "anthropic"

    kind: Literal["anthropic"]
    """What answers: Claude."""
    base_url: Url | None = None
    """Another address of the API, e.g. a proxy."""


class AgentProvider(_ModelProvider):
    """Claude on a subscription in place of an API key; `pip install 'techsapo-ops[claude-agent]'` adds it.

    The user that runs the app has to log in once by the program `claude`.
    """

    announced_by = "anthropic"

    kind: Literal["claude-agent"]
    """What answers: Claude, by the program `claude` of the Claude Agent SDK."""
    price: Price | None = None
    """Price to count; default: nothing, as the subscription has paid for it."""
    processes: Annotated[int, Field(ge=1, le=64), NotASwitch] = 4
    """Programs at once in one instance, each of about 200 MB; further questions wait."""


class OpenRouterProvider(KeyedProvider):
    """Models of many vendors through OpenRouter."""

    kind: Literal["openrouter"]
    """What answers: a model behind OpenRouter."""
    base_url: Url = "https://openrouter.ai/api/v1"
    """Address of the API."""


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
    """The simulated providers that answer while no real one is configured."""
    make = SimulatedProvider.model_construct
    return {
        "sim-a": make(kind="simulated", seed=1),
        "sim-b": make(kind="simulated", seed=2, latency=Latency.model_construct(mean="450ms")),
        "sim-c": make(kind="simulated", seed=3, latency=Latency.model_construct(mean="200ms"), accuracy=0.75),
    }


class Tier(Section):
    """How many providers answer a task type, and the confidence its answer needs."""

    providers: Annotated[int, Field(ge=2, le=8), NotASwitch]
    """Providers asked at once; fewer where fewer are enabled."""
    confidence: Ratio
    """Confidence from which an answer is accepted."""


class Tiers(Section):
    """The three task types."""

    basic: Tier = Field(default_factory=lambda: Tier.model_construct(providers=2, confidence=0.7))
    """Everyday questions."""
    premium: Tier = Field(default_factory=lambda: Tier.model_construct(providers=3, confidence=0.8))
    """Questions where a wrong answer costs time."""
    critical: Tier = Field(default_factory=lambda: Tier.model_construct(providers=4, confidence=0.9))
    """Questions where a wrong answer costs data or availability."""


class Breaker(Section):
    """When a failing provider is left alone."""

    failures: Annotated[int, Field(ge=1), NotASwitch] = 5
    """Failures in a row, 5xx, time-out or lost connection, after which it is not asked for a while."""
    cooldown: PositiveDuration = "30s"
    """How long until one call tries it again; twice as long after each try that fails, at most 5m."""


class WallBounce(Section):
    """How answers are compared."""

    tiers: Tiers = Field(default_factory=Tiers.model_construct)
    """Providers and confidence by task type."""
    consensus: Ratio = 0.6
    """Share of claims that the others must confirm."""
    max_bounces: Annotated[int, Field(ge=0, le=5), NotASwitch] = 2
    """Rounds in which contested claims go back to the providers."""
    calibration: FilePath | None = None
    """Weights by `techsapo wallbounce calibrate`; they hold only for the models they were fitted on."""
    language: Literal["auto", "ja", "en"] = "auto"
    """Language of the answers; auto follows the question."""
    breaker: Breaker = Field(default_factory=Breaker.model_construct)
    """When a failing provider is left alone."""
    cache_ttl: Duration = "1h"
    """How long an answer is reused for the same prompt; 0s turns the cache off."""
    mask_prompts: bool = False
    """Mask secrets and personal data before prompts reach the providers."""


class Budget(Section):
    """What may be spent on providers, in USD."""

    monthly_usd: Usd = 70.0
    """USD a calendar month; requests beyond it are refused."""
    daily_usd: Usd | None = None
    """USD a day (UTC); default: a thirtieth of the month."""
    per_request_usd: Usd | None = None
    """Most that one request may cost; default: no limit of its own."""
    per_key_monthly_usd: Usd | None = None
    """USD a calendar month for each API key without a limit of its own; default: no limit."""
    per_key_daily_usd: Usd | None = None
    """USD a day for each API key without a limit of its own; default: no limit."""
    warn_at: Ratio = 0.8
    """Share of the budget from which an alert warns."""
    count_simulated: bool = False
    """Whether the pretended prices of simulated providers use up the budget, e.g. in a drill of it."""
    unknown_price: Literal["refuse", "reserve"] = "refuse"
    """A model without a known price: refuse it, or reserve the worst case."""

    @property
    def resolved_daily_usd(self) -> float:
        """The day's budget in USD."""
        return self.monthly_usd / 30 if self.daily_usd is None else self.daily_usd


class Audit(Section):
    """What the audit log keeps of each request."""

    prompt: Literal["hash", "masked"] = "hash"
    """hash: only a digest of the prompt; masked: its text without secrets and personal data."""
    flush_interval: Duration = "200ms"
    """How long rows wait in memory to be written together: what a kill -9 of the app loses at most."""
    keep_days: Count = 365
    """Rows older than this are removed every night; 0 keeps all."""
