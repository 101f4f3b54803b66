"""The orchestrator application: where it listens, what it accepts, what it may spend."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from techsapo_ops.masking import MaskLevel
from techsapo_ops.spec.models.base import (
    AllowedHost,
    Duration,
    FilePath,
    ListenHost,
    Network,
    NotASwitch,
    Port,
    PositiveDuration,
    Ratio,
    Section,
    Site,
    Text,
    Url,
    Usd,
)
from techsapo_ops.spec.secret import Headers, Secret

MAX_BODY = 1024 * 1024
"""Bytes of the largest request body; more is answered 413. The longest prompt is far shorter."""


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

    max_prompt: Annotated[int, Field(ge=1), NotASwitch] = 20000
    """Longest prompt, in characters; more is answered 422."""
    concurrency: Annotated[int, Field(ge=1), NotASwitch] = 64
    """Analyses under way at once in one instance; more are answered 503 with Retry-After."""
    request_timeout: PositiveDuration = "120s"
    """Longest time an analysis may take."""
    client_connections: Annotated[int, Field(ge=1), NotASwitch] = 512
    """Requests at once from one address, and as many metrics streams; nginx answers more with 429."""


class SignIn(Section):
    """Sign-in of people by a proxy such as oauth2-proxy, which nginx asks about each request."""

    address: Annotated[str, Field(pattern=r"^http://[A-Za-z0-9.-]+(:[0-9]{1,5})?$")]
    """Where nginx reaches it, e.g. http://127.0.0.1:4180."""
    secret: Secret | None = None
    """Secret by which the app knows that nginx, and nobody else on the host, tells who signed in."""


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
    monitoring_networks: tuple[Network, ...] | None = None
    """Networks that may read metrics, status and streams of metrics without a key, beside the app's own host;
    `attached`: those that its host or container is in. Default: none, in a container `attached`."""
    sign_in: SignIn | None = None
    """Whom nginx lets to pages and API, beside or in place of keys: people who signed in."""


class Tracing(Section):
    """Traces for an OpenTelemetry collector; needs the extra `otel` (docs/traces-and-logs.md)."""

    endpoint: Url
    """Where it takes OTLP over HTTP, e.g. http://127.0.0.1:4318; /v1/traces is added."""
    headers: Headers | None = None
    """Headers of each export by name; values are secrets, and NAME_file takes one from a file."""
    sample: Ratio = 1.0
    """Share of the requests that are traced."""
    trusted_networks: tuple[Network, ...] = ()
    """Networks whose `traceparent` a request's trace continues; any other is linked to."""


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
    public_url: Site | None = None
    """Where people open the app's pages, as links in messages name it: `https://ops.example.com`; its name is
    one that the app answers. Default: by nginx's or its certificate's name, else by nginx's or the app's
    address, which is one of this host alone where it listens there alone."""
    allowed_hosts: tuple[AllowedHost, ...] = ()
    """Further host names that clients use, without a port: `ops.example.com`, or `*.example.com` for all
    below it. Known without this: nginx's and its certificates' names, loopback names, every IP address. Any
    other is refused (421)."""
    tracing: Tracing | None = None
    """Where a trace of each request goes; without this section there is none."""
    drain: Duration = "5s"
    """How long new requests are still served after SIGTERM, while /ping already answers 503."""

    @property
    def resolved_instances(self) -> tuple[Instance, ...]:
        """The instances that run: those listed, or the single one on `port`."""
        return self.instances or (Instance.model_construct(port=self.port),)


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


LanguageRule = Literal["locale", "auto", "ja", "en"]
"""The stack's own language, that of what was sent, or always one."""


def _switched_off(value: object) -> object:
    """YAML takes `off` for false."""
    return "off" if value is False else value


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
    """Weights by `techsapo answers calibrate`; they hold only for the models they were fitted on."""
    language: LanguageRule = "locale"
    """Language of answers where nobody asks for one: ja, en, the stack's (locale), or that of what was sent,
    logs included (auto)."""
    breaker: Breaker = Field(default_factory=Breaker.model_construct)
    """When a failing provider is left alone."""
    cache_ttl: Duration = "1h"
    """How long an answer is reused for the same prompt; 0s turns the cache off."""
    cache_share: Literal["all", "caller"] = "all"
    """Whose answers are reused: everybody's (all), or only those of the same API key or user (caller)."""
    mask: Annotated[MaskLevel, BeforeValidator(_switched_off)] = "secrets"
    """What is masked for the providers: off, secrets, or personal (data too)."""


class Budget(Section):
    """What may be spent on providers, in USD."""

    monthly_usd: Usd = 70.0
    """USD a calendar month; requests beyond it are refused."""
    daily_usd: Usd | None = None
    """USD a day (UTC); default: a thirtieth of the month."""
    per_request_usd: Usd | None = None
    """Most that one request may cost; default: no limit of its own."""
    count_simulated: bool = False
    """Whether the pretended prices of simulated providers use up the budget, e.g. in a drill of it."""

    @property
    def resolved_daily_usd(self) -> float:
        """The day's budget in USD."""
        return self.monthly_usd / 30 if self.daily_usd is None else self.daily_usd


class Audit(Section):
    """What the audit log keeps of each request."""

    prompt: Literal["hash", "masked"] = "hash"
    """hash: only a digest of the prompt; masked: its text without secrets and personal data."""
