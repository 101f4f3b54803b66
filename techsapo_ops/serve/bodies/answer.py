"""The answer to a question, and how far it can be trusted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from techsapo_ops.catalogue.dangers import Effect
from techsapo_ops.serve.bodies.base import Body, Rounded
from techsapo_ops.wallbounce.question import TaskType
from techsapo_ops.wallbounce.verdict.record import PanelRecord

Html = Annotated[
    str | None,
    Field(description="`answer`, which may be Markdown, as sanitised HTML; only with `html=true`."),
]


class TokensBody(Body):
    """Tokens as the vendors counted them."""

    input: int
    output: int
    cached: Annotated[int, Field(description="Part of the input that was read from the vendor's cache.")] = 0
    cache_written: Annotated[
        int, Field(description="Part of the input that was written to the vendor's cache.")
    ] = 0
    thinking: Annotated[int, Field(description="Part of the output that is billed but not shown.")] = 0


class FailureBody(Body):
    kind: Literal["timeout", "rate_limited", "unavailable", "refused", "bad_answer"]
    cause: Annotated[str, Field(description="The cause, more precise than the kind: key, money, model …")]
    message: str


class ProviderBody(Body):
    """One provider's part."""

    name: str
    model: str
    status: Literal["answered", "failed"]
    answer: str | None = None
    answer_html: Html = None
    grade: Annotated[float | None, Field(description="Mean grade by the other providers, 0 to 1.")] = None
    agrees: Annotated[
        bool | None,
        Field(
            description="Whether this answer agrees with the chosen answer; null if the two were not "
            "compared. The chosen answer, which `answered_by` names, agrees with itself."
        ),
    ] = None
    self_confidence: float | None = None
    seconds: float
    cost_usd: float
    tokens: Annotated[
        TokensBody | None,
        Field(
            description="Tokens of this provider's answer only; its other calls count in `tokens` of the "
            "whole answer."
        ),
    ] = None
    error: FailureBody | None = None


class ThresholdsBody(Body):
    confidence: float
    consensus: float


class EvidenceBody(Body):
    """What the confidence was computed from, and what supports it."""

    tier: TaskType
    models: list[str]
    agreement: Annotated[
        float, Field(description="A: (largest cluster - 1) / (answers compared with the chosen one).")
    ]
    grade: Annotated[float, Field(description="G: mean peer grade of the chosen answer.")]
    contradicted: Annotated[
        bool, Field(description="Whether more peers contradict a critical claim than support it.")
    ]
    uncapped: Annotated[float, Field(description="The confidence before the caps.")]
    complete: Annotated[
        bool, Field(description="Whether all grades are there. If not, nothing is learnt from the answer.")
    ] = True
    low: Annotated[
        float | None,
        Field(description="Lower end of the confidence's 95 % interval; null for a sole answer."),
    ] = None
    high: Annotated[
        float | None,
        Field(description="Upper end of the confidence's 95 % interval; null for a sole answer."),
    ] = None
    labels: Annotated[int, Field(description="How many labels support the confidence.")] = 0


class ScoreBody(Body):
    score: Annotated[int, Field(ge=0, le=4)]
    evidence: str


class GradeBody(Body):
    """One provider's grade of another's answer; the stances are counted over its claims.

    What is null, and the claims counted as absent, was not given in a readable way.
    """

    grader: str
    subject: str
    mean: float | None
    correctness: ScoreBody | None
    safety: ScoreBody | None
    completeness: ScoreBody | None
    entails: int
    contradicts: int
    silent: int
    absent: int = 0


class AgainstBody(Body):
    provider: str
    evidence: str


class UnsettledBody(Body):
    """A claim of the answer that is contradicted, and by whom."""

    claim: str
    critical: bool
    against: list[AgainstBody]


class DissentBody(Body):
    """An answer that was compared with the chosen one and differs from it."""

    provider: str
    root_cause: str
    grade: Rounded


class AmendmentBody(Body):
    """An undisputed claim that was added from another answer."""

    provider: str
    claim: str


class DestructiveBody(Body):
    """A command of the answer that can't be undone; empty where only the provider says so."""

    command: str
    kind: str
    why: str
    effect: Annotated[
        Effect, Field(description="The worst effect of the command; runs_remote_code can't be undone either.")
    ] = Effect.DESTRUCTIVE


class HazardBody(DestructiveBody):
    """A command of the answer that stops a service or weakens security."""


class BounceBody(Body):
    """Contested claims that went back to their author; a revision is kept only if its grade rose."""

    round: int
    provider: str
    claims: list[str]
    before: Rounded
    after: Rounded
    kept: bool


class EscalationBody(Body):
    """A step up to a higher tier, with the providers that joined blind."""

    reason: str
    tier: TaskType
    providers: list[str]


class HypothesisBody(Body):
    """One explanation that a refusal leaves open, and the providers that name it."""

    cause: str
    providers: list[str]
    grade: Rounded


class SourceBody(Body):
    """A part of the team's own pages (`knowledge` in the spec) that the providers were given."""

    file: str
    heading: Annotated[
        str, Field(description="The heading, after the headings above it; empty if there is none.")
    ]
    cited: Annotated[bool, Field(description="Whether `answer` names the file.")]


class NextCheckBody(Body):
    """A command from the built-in list of checks. It only reads; no word of it comes from a model."""

    command: str
    tells: Annotated[str, Field(description="What the check shows, in the answer's language.")]
    reads: Annotated[str, Field(description="How to read the output.")]


class AnswerBody(Body):
    """The answer and how far it can be trusted. Scores are 0 to 1."""

    request_id: str
    task_type: TaskType
    language: Literal["en", "ja"]
    answer: str
    answered_by: str
    root_cause: Annotated[
        str, Field(description="The cause in the chosen provider's words; empty if the provider gave none.")
    ]
    commands: list[str]
    tier: Annotated[
        TaskType,
        Field(
            description="The tier in which the analysis ended: task_type, or a higher tier; "
            "premium or critical if a cascade needed a panel."
        ),
    ]
    outcome: Annotated[
        Literal["accepted", "unsettled", "refused"],
        Field(description="refused: `answer` says what is unsettled and how to check it, not what to do."),
    ]
    accepted: bool
    confidence: float
    consensus: Annotated[
        float | None,
        Field(
            description="How far the answers agree: the mean, over all compared pairs, of the share of "
            "claims that each answer entails of the other. A pair that agrees has at least .5, a pair that "
            "differs at most .5. null if nothing was compared."
        ),
    ]
    thresholds: ThresholdsBody
    calibrated: Annotated[bool, Field(description="Whether labelled outcomes support the confidence.")]
    provisional: bool
    simulated: Annotated[bool, Field(description="Whether the answers come from simulated providers.")]
    notes: list[str]
    providers: list[ProviderBody]
    evidence: EvidenceBody
    panel: Annotated[
        PanelRecord | None,
        Field(
            description="Figures of the verdict from which confidence learns; the audit log stores them, too."
        ),
    ] = None
    checks: Annotated[
        list[NextCheckBody],
        Field(description="What can be checked about the causes that the answer names."),
    ] = []
    grades: list[GradeBody]
    unsettled: list[UnsettledBody]
    dissent: list[DissentBody]
    amendments: list[AmendmentBody]
    destructive: Annotated[
        list[DestructiveBody],
        Field(
            description="Commands that are recognised as impossible to undo. The list may be incomplete: "
            "a command that is not listed is not necessarily safe."
        ),
    ]
    hazards: Annotated[
        list[HazardBody],
        Field(
            description="Other commands that are recognised as dangerous: they stop a service or weaken "
            "security. The list may be incomplete, like `destructive`."
        ),
    ] = []
    bounces: list[BounceBody]
    escalations: list[EscalationBody]
    hypotheses: list[HypothesisBody]
    sources: list[SourceBody] = []
    cost_usd: float
    tokens: Annotated[
        TokensBody,
        Field(
            description="Tokens of all calls: answers, gradings, revisions. A cached answer has none, "
            "like its cost."
        ),
    ] = TokensBody(input=0, output=0)
    processing_ms: int
    cache: Literal["hit", "miss"]
    masked: Annotated[
        dict[str, int],
        Field(
            description="What was masked in the question before it was sent to the vendors: the number "
            "of different values by kind, such as password, token, api_key or private_key. They are not "
            "restored in the answer."
        ),
    ] = {}
    answer_html: Html = None


class TriageBody(Body):
    """The cause that a log shows, and what to do."""

    request_id: str
    problem_category: Annotated[str, Field(description="Set by fixed rules; unknown if no rule matches.")]
    severity: Literal["critical", "high", "medium", "low"]
    root_cause: str
    solution_steps: Annotated[
        list[str],
        Field(
            description="For a refusal, the causes to confirm. A step with a recognised danger starts "
            "with a warning; not every danger is recognised."
        ),
    ]
    confidence: float
    accepted: bool
    outcome: Literal["accepted", "unsettled", "refused"]
    simulated: bool
    cost_usd: float
    cache: Literal["hit", "miss"]
    analysis: AnswerBody
