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
    """Port that this process listens on."""
    weight: Annotated[int, Field(ge=1, le=100), NotASwitch] = 1
    """Weight of this instance when nginx distributes requests."""
    backup: bool = False
    """If true, this instance gets requests only while all instances without `backup` are down."""


class Limits(Section):
    """What one instance accepts before it answers 413, 422 or 503."""

    max_prompt: Annotated[int, Field(ge=1), NotASwitch] = 20000
    """Longest prompt, in characters; a longer one gets 422."""
    concurrency: Annotated[int, Field(ge=1), NotASwitch] = 64
    """Number of analyses that one instance runs at once; further ones get 503 with Retry-After."""
    request_timeout: PositiveDuration = "120s"
    """Maximum duration of an analysis."""
    client_connections: Annotated[int, Field(ge=1), NotASwitch] = 512
    """Maximum number of simultaneous requests from one address; the same maximum applies separately to its
    metrics streams. nginx answers further requests with 429.
    """


class SignIn(Section):
    """Sign-in of people by a proxy such as oauth2-proxy, which nginx asks about each request."""

    address: Annotated[str, Field(pattern=r"^http://[A-Za-z0-9.-]+(:[0-9]{1,5})?$")]
    """Address at which nginx reaches the sign-in proxy, e.g. http://127.0.0.1:4180."""
    secret: Secret | None = None
    """Secret that proves to the app that the name of a signed-in user comes from nginx, and not from another
    program on the host.
    """


class Auth(Section):
    """Who may ask. `techsapo keys create` makes an API key."""

    required: bool | None = None
    """Whether requests need an API key; default: true if the app or nginx listens beyond loopback."""
    refuse_without_keys: bool | None = None
    """Whether the app refuses to start without any API key; default: true in environment production."""
    keys_file: FilePath | None = None
    """File with the digests of the API keys; default: api-keys/keys.json in the state directory."""
    proxies: tuple[Text, ...] = ()
    """Addresses or host names of proxies whose X-Forwarded-For is trusted; default: the stack's own nginx."""
    monitoring_networks: tuple[Network, ...] | None = None
    """Networks that may read metrics, status and metrics streams without an API key, in addition to the app's
    own host. `attached` means the networks of the app's host or container. Default: none; in a container,
    `attached`.
    """
    sign_in: SignIn | None = None
    """Sign-in of people at nginx, for the pages and the API, in addition to API keys or instead of them."""


class Tracing(Section):
    """Traces for an OpenTelemetry collector; needs the extra `otel` (docs/traces-and-logs.md)."""

    endpoint: Url
    """Address that accepts OTLP over HTTP, e.g. http://127.0.0.1:4318; /v1/traces is appended."""
    headers: Headers | None = None
    """Headers that are sent with each export of traces, by name. Values are secrets; NAME_file reads a value
    from a file.
    """
    sample: Ratio = 1.0
    """Share of the requests that are traced."""
    trusted_networks: tuple[Network, ...] = ()
    """A request with a `traceparent` from one of these networks continues that trace. From any other network,
    `traceparent` only becomes a link.
    """


class App(Section):
    """The orchestrator API (`techsapo serve`)."""

    host: ListenHost = "127.0.0.1"
    """Address to listen on."""
    port: Port = 4000
    """Port of the single instance; ignored if `instances` is set."""
    instances: tuple[Instance, ...] = ()
    """Several processes of the app, with nginx in front of them."""
    limits: Limits = Field(default_factory=Limits.model_construct)
    """Limits on what one instance accepts."""
    auth: Auth = Field(default_factory=Auth.model_construct)
    """Who may use the API and the pages."""
    public_url: Site | None = None
    """Address of the app's pages, used for links in messages: `https://ops.example.com`. The app also answers
    to this name. Default: the name of nginx or of its certificate; if neither has a name, the address of
    nginx or of the app. Links to a loopback address work only on this host.
    """
    allowed_hosts: tuple[AllowedHost, ...] = ()
    """Further host names that clients may use, without a port: `ops.example.com`, or `*.example.com` for all
    of its subdomains. Always allowed: the names of nginx and its certificates, loopback names, and IP
    addresses. Requests for any other name are refused (421).
    """
    tracing: Tracing | None = None
    """Where the trace of each request is sent; without this section, nothing is traced."""
    drain: Duration = "5s"
    """How long new requests are still served after SIGTERM, while /ping already answers 503."""

    @property
    def resolved_instances(self) -> tuple[Instance, ...]:
        """The instances that run: those listed, or the single one on `port`."""
        return self.instances or (Instance.model_construct(port=self.port),)


class Tier(Section):
    """How many providers answer a task type, and the confidence its answer needs."""

    providers: Annotated[int, Field(ge=2, le=8), NotASwitch]
    """Number of providers that are asked at once. If fewer are enabled, all of them are asked."""
    confidence: Ratio
    """Lowest confidence at which an answer is accepted."""


class Cascade(Section):
    """When a checked answer is given without a panel."""

    confidence: Ratio = 0.8
    """Lowest confidence at which the answer is accepted; below it, the panel of `premium` is asked."""


class Tiers(Section):
    """The task types."""

    basic: Tier = Field(default_factory=lambda: Tier.model_construct(providers=2, confidence=0.7))
    """Everyday questions."""
    premium: Tier = Field(default_factory=lambda: Tier.model_construct(providers=3, confidence=0.8))
    """Questions where a wrong answer costs time."""
    critical: Tier = Field(default_factory=lambda: Tier.model_construct(providers=4, confidence=0.9))
    """Questions where a wrong answer costs data or availability."""
    cascade: Cascade = Field(default_factory=Cascade.model_construct)
    """Questions for which the cheapest model is enough, if another one confirms it: the cheapest provider
    answers, the next cheapest checks. The providers of `premium` are asked only if the check disagrees, if
    the confidence is too low, or if the question or the answer contains a command that cannot be undone.
    """


LanguageRule = Literal["locale", "auto", "ja", "en"]
"""The stack's own language, that of what was sent, or always one."""


def _switched_off(value: object) -> object:
    """YAML takes `off` for false."""
    return "off" if value is False else value


class Breaker(Section):
    """When calls to a failing provider are paused."""

    failures: Annotated[int, Field(ge=1), NotASwitch] = 5
    """Number of failures in a row (5xx, time-out or lost connection) after which the provider gets no calls
    for a while.
    """
    cooldown: PositiveDuration = "30s"
    """Pause before one call tries the provider again. The pause doubles after each failed try, up to 5m."""


class WallBounce(Section):
    """How answers are compared."""

    tiers: Tiers = Field(default_factory=Tiers.model_construct)
    """Providers and confidence by task type."""
    consensus: Ratio = 0.6
    """Lowest consensus at which an answer is accepted."""
    max_bounces: Annotated[int, Field(ge=0, le=5), NotASwitch] = 2
    """Maximum number of rounds in which contested claims go back to the providers."""
    calibration: FilePath | None = None
    """File that `techsapo answers calibrate` writes: weights of the confidence, learnt from labels. A changed
    file takes effect with the next `techsapo up`.
    """
    language: LanguageRule = "locale"
    """Language of answers when the request names none: ja, en, the stack's language (locale), or the language
    of the question, including its logs (auto).
    """
    breaker: Breaker = Field(default_factory=Breaker.model_construct)
    """When calls to a failing provider are paused."""
    cache_ttl: Duration = "1h"
    """How long a cached answer is used for the same prompt; 0s turns the cache off."""
    cache_share: Literal["all", "caller"] = "all"
    """Whose cached answers are used: everybody's (all), or those of the same API key or user (caller)."""
    mask: Annotated[MaskLevel, BeforeValidator(_switched_off)] = "secrets"
    """What is masked in a question before providers get it: nothing (off), secrets, or also personal data
    (personal).
    """


class Budget(Section):
    """Spending limits for providers, in USD."""

    monthly_usd: Usd = 70.0
    """Budget in USD per calendar month; requests beyond the budget are refused."""
    daily_usd: Usd | None = None
    """Budget in USD per day (UTC); default: one thirtieth of the monthly budget."""
    per_request_usd: Usd | None = None
    """Highest cost of one request, in USD; default: no limit for a single request."""
    count_simulated: bool = False
    """Whether the simulated providers' prices count against the budget, e.g. for a budget drill."""

    @property
    def resolved_daily_usd(self) -> float:
        """The day's budget in USD."""
        return self.monthly_usd / 30 if self.daily_usd is None else self.daily_usd


class Audit(Section):
    """What the audit log stores of each request."""

    prompt: Literal["hash", "masked"] = "hash"
    """How the prompt is stored: only its digest (hash), or its text without secrets and personal data
    (masked).
    """
    answers: Literal["none", "masked"] = "none"
    """Whether the text of each answer is stored, without secrets and personal data (masked). People can
    label answers later only if the prompt and the answer are stored.
    """
