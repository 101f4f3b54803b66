"""Questions about a prompt or a log."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_Language = Annotated[
    Literal["en", "ja"] | None,
    Field(
        description="Language of the answer. Default: the one that the question asks for, else the stack's."
    ),
]


class GenerateBody(BaseModel):
    """A question."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[str, Field(description="The question, in Japanese or English.")]
    language: _Language = None
    task_type: Annotated[
        Literal["basic", "premium", "critical"],
        Field(description="How many providers answer, and how sure the answer must be."),
    ] = "basic"


class AnalyzeLogsBody(BaseModel):
    """What happened: the command, what it printed, and the system around it."""

    model_config = ConfigDict(extra="forbid")

    user_command: Annotated[str, Field(description="The command that failed.")] = ""
    error_output: Annotated[str, Field(description="What it printed, or the log.")] = ""
    system_context: Annotated[str, Field(description="Host, versions, what was changed.")] = ""
    language: _Language = None
    task_type: Literal["basic", "premium", "critical"] = "basic"
