"""Why a provider gave no answer: the kind of its failure, the finer cause, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.answers import Tokens


class FailureKind(StrEnum):
    """Why a provider gave no answer."""

    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    """It can't be reached, or failed on its side."""
    REFUSED = "refused"
    """It rejected the call: key, model name or content."""
    BAD_ANSWER = "bad_answer"
    """It answered something that can't be used: empty, truncated or far too long."""


class Cause(StrEnum):
    """What was the matter, as far as the vendor says."""

    KEY = "key"
    MONEY = "money"
    PLAN = "plan"
    """The model is not part of what the account may use without paying."""
    MODEL = "model"
    PERMISSION = "permission"
    REGION = "region"
    ADDRESS = "address"
    QUOTA = "quota"
    """A quota that comes back after hours: per day."""
    RATE = "rate"
    """A limit that comes back within minutes."""
    TOO_LONG = "too_long"
    CONTENT = "content"
    SCHEMA = "schema"
    PARAMETER = "parameter"
    REJECTED = "rejected"
    """Refused, and nothing says why."""
    BUDGET = "budget"
    """It was not asked: the stack's own budget has no room for the call."""
    OVERLOADED = "overloaded"
    SERVER = "server"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    UNREADABLE = "unreadable"
    CUT_OFF = "cut_off"


@dataclass(frozen=True, slots=True)
class Advice:
    """A cause in words: `what` happened, and what to `do`, both without a full stop."""

    kind: FailureKind
    what: str
    do: str


_REFUSED, _DOWN, _BAD = FailureKind.REFUSED, FailureKind.UNAVAILABLE, FailureKind.BAD_ANSWER
_ADVICE = {
    Cause.KEY: Advice(
        _REFUSED,
        msg("the API key is refused"),
        msg("put a valid key where `api_key` is read from, then run `techsapo up`"),
    ),
    Cause.MONEY: Advice(
        _REFUSED,
        msg("no credit is left at the vendor, or a spend limit is reached"),
        msg("add credit or raise the limit (organization, project, key) in the vendor's console"),
    ),
    Cause.PLAN: Advice(
        _REFUSED,
        msg("this account's plan at the vendor does not include the model"),
        msg("enable billing for the project at the vendor, or name another `model`"),
    ),
    Cause.MODEL: Advice(
        _REFUSED,
        msg("the vendor does not offer this model to this account"),
        msg(
            "check the spelling of `model`, or name a model that is not retired; on a local server, load the "
            "model first"
        ),
    ),
    Cause.PERMISSION: Advice(
        _REFUSED,
        msg("the key may not use this model or API"),
        msg("give the key this permission in the vendor's console, or use a key of another project"),
    ),
    Cause.REGION: Advice(
        _REFUSED,
        msg("the vendor does not serve this country or region"),
        msg("send from a region that the vendor serves, or use another provider"),
    ),
    Cause.ADDRESS: Advice(
        _REFUSED,
        msg("the address does not belong to the API"),
        msg("check `base_url`, and whether a proxy or a login page is in between"),
    ),
    Cause.QUOTA: Advice(
        FailureKind.RATE_LIMITED,
        msg("a daily quota is used up"),
        msg("wait until the vendor's day ends, or raise the quota in the vendor's console"),
    ),
    Cause.RATE: Advice(
        FailureKind.RATE_LIMITED,
        msg("too many requests or tokens per minute"),
        msg(
            "nothing if this is temporary; otherwise raise the limit at the vendor, or send this provider "
            "fewer questions"
        ),
    ),
    Cause.TOO_LONG: Advice(
        _REFUSED,
        msg("the question is too long for the model"),
        msg("shorten the question, or use a model with a larger context"),
    ),
    Cause.CONTENT: Advice(
        _REFUSED, msg("the vendor refuses the question's content"), msg("rephrase the question")
    ),
    Cause.SCHEMA: Advice(
        _REFUSED,
        msg("the model does not support the schema of the answer"),
        msg(
            "nothing: from now on the prompt describes the schema; "
            "to avoid this, choose a model with structured output"
        ),
    ),
    Cause.PARAMETER: Advice(
        _REFUSED,
        msg("the model does not support one of the options"),
        msg("remove or change the option that the message names in this provider's section"),
    ),
    Cause.REJECTED: Advice(
        _REFUSED,
        msg("the call was rejected"),
        msg("read the vendor's message; `techsapo providers test` asks again"),
    ),
    Cause.BUDGET: Advice(
        _REFUSED,
        msg("not enough budget is left for the call"),
        msg("raise `budget` in the spec, or wait for the next day"),
    ),
    Cause.OVERLOADED: Advice(
        _DOWN,
        msg("the vendor has no capacity for this model now"),
        msg("nothing: the call is retried; with OpenRouter, check this provider's routing options"),
    ),
    Cause.SERVER: Advice(
        _DOWN,
        msg("the vendor has an error on its side"),
        msg("nothing: the call is retried; check the vendor's status page"),
    ),
    Cause.UNREACHABLE: Advice(
        _DOWN,
        msg("the provider can't be reached"),
        msg("check `base_url`, the network, DNS and the firewall of this host"),
    ),
    Cause.TIMEOUT: Advice(
        FailureKind.TIMEOUT,
        msg("no answer in time"),
        msg("raise the provider's `timeout`, or lower its effort; check the vendor's status page"),
    ),
    Cause.UNREADABLE: Advice(
        _BAD,
        msg("the reply can't be used"),
        msg("check that `base_url` matches `kind`; try another model"),
    ),
    Cause.CUT_OFF: Advice(_BAD, msg("the answer was cut off"), msg("raise `max_output_tokens`")),
}
LASTING = frozenset(
    {
        Cause.KEY,
        Cause.MONEY,
        Cause.PLAN,
        Cause.MODEL,
        Cause.PERMISSION,
        Cause.REGION,
        Cause.QUOTA,
    }
)
"""Causes that no question brings about and no second attempt cures: the provider is down."""
NOT_ITS_OWN = frozenset({Cause.TOO_LONG, Cause.CONTENT, Cause.BUDGET})
"""Causes that lie in the question, or in our own limits: the provider is well."""
DOUBTFUL = frozenset({Cause.REJECTED, Cause.PARAMETER, Cause.SCHEMA, Cause.ADDRESS})
"""Causes that mostly lie in the provider's section of the spec, but that a question could bring about too: a
firewall on the way answers some texts with a page or a redirect.
"""
_USUAL = {
    FailureKind.TIMEOUT: Cause.TIMEOUT,
    FailureKind.RATE_LIMITED: Cause.RATE,
    FailureKind.UNAVAILABLE: Cause.SERVER,
    FailureKind.REFUSED: Cause.REJECTED,
    FailureKind.BAD_ANSWER: Cause.UNREADABLE,
}


def advice(cause: Cause) -> Advice:
    """The kind of failure that `cause` makes, and its words."""
    return _ADVICE[cause]


def advice_on(word: object) -> Advice | None:
    """The words of a cause that another version sent, None where this one does not know it."""
    return next((said for cause, said in _ADVICE.items() if str(cause) == word), None)


def usual_cause(kind: FailureKind) -> Cause:
    """The cause of a failure of which no more than its kind is known."""
    return _USUAL[kind]


PASSING = frozenset({FailureKind.RATE_LIMITED, FailureKind.UNAVAILABLE, FailureKind.TIMEOUT})
"""Kinds that may be gone at the next attempt. A refusal or an unreadable answer would come again."""


class ProviderError(Exception):
    """A provider gave no answer. `message` holds no secret; `retry_after` is in seconds.

    `cost_usd` is what the failed call costs all the same, `tokens` what was counted of it. `began` says that
    the vendor had begun to answer, and so bills the call, however little of it can be used. `seconds` is what
    the call took, once known. Where no `cause` is given it is the usual one of the kind.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        cause: Cause | None = None,
        retry_after: float | None = None,
        cost_usd: float = 0.0,
        began: bool = False,
    ) -> None:
        super().__init__(message)
        self.seconds = 0.0
        self.tokens = Tokens()
        self.cost_usd = cost_usd
        self.began = began
        self.kind = kind
        self.cause = cause or usual_cause(kind)
        self.message = message
        self.retry_after = retry_after

    @property
    def passing(self) -> bool:
        """Whether it may be gone at the next attempt."""
        return self.kind in PASSING and self.cause not in LASTING


class NotAskedError(ProviderError):
    """The call was not made, so it says nothing about the vendor."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One provider's failure within an analysis."""

    provider: str
    model: str
    kind: FailureKind
    message: str
    seconds: float
    retry_after: float | None = None
    cost_usd: float = 0.0
    """What the failed call cost all the same."""
    cause: Cause = field(kw_only=True)
    """What was the matter."""

    @classmethod
    def of(cls, provider: str, model: str, error: ProviderError) -> Failure:
        """`error` of a call to `model` of `provider`."""
        return cls(
            provider,
            model,
            error.kind,
            error.message,
            error.seconds,
            error.retry_after,
            error.cost_usd,
            cause=error.cause,
        )
