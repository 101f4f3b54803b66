"""A simulated `claude_agent_sdk`, put into sys.modules: the real one weighs 382 MB and needs a login.

Options, messages and errors have the names and fields that claude-agent-sdk 0.2.188 gives them in `types.py`
and `_errors.py`, as far as the provider uses or sees them. As there, an error result is followed by a
ResultError. `query` starts a real child process, which it ends in its own good time once it is cancelled.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class ClaudeSDKError(Exception): ...


class CLIConnectionError(ClaudeSDKError): ...


class CLINotFoundError(CLIConnectionError): ...


class ProcessError(ClaudeSDKError): ...


class ResultError(ProcessError): ...


class CLIJSONDecodeError(ClaudeSDKError): ...


@dataclass
class ClaudeAgentOptions:
    tools: list[str] | None = None
    system_prompt: str | None = None
    mcp_servers: dict[str, Any] = field(default_factory=dict)
    strict_mcp_config: bool = False
    max_turns: int | None = None
    model: str | None = None
    cwd: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    extra_args: dict[str, str | None] = field(default_factory=dict)
    max_buffer_size: int | None = None
    stderr: Callable[[str], None] | None = None
    verbatim_prompts: bool = False
    setting_sources: list[str] | None = None


@dataclass
class SystemMessage:
    subtype: str
    data: dict[str, Any]


@dataclass
class TextBlock:
    text: str


@dataclass
class AssistantMessage:
    content: list[TextBlock]
    model: str
    parent_tool_use_id: str | None = None
    error: str | None = None
    usage: dict[str, Any] | None = None


@dataclass
class ResultMessage:
    subtype: str
    duration_ms: int
    duration_api_ms: int
    is_error: bool
    num_turns: int
    session_id: str
    stop_reason: str | None = None
    total_cost_usd: float | None = None
    usage: dict[str, Any] | None = None
    result: str | None = None
    errors: list[str] | None = None
    api_error_status: int | None = None


@dataclass
class RateLimitInfo:
    status: str
    resets_at: int | None = None


@dataclass
class RateLimitEvent:
    rate_limit_info: RateLimitInfo
    uuid: str = "u"
    session_id: str = "s"


def says(text: str, error: str | None = None) -> list[Any]:
    """What comes before a result: the start, and what the model, or the program in its place, says."""
    return [SystemMessage("init", {"tools": []}), AssistantMessage([TextBlock(text)], "m", error=error)]


def result(**given: Any) -> ResultMessage:
    """A result; unless told otherwise a good one of 10 tokens in, 3 of them cached, and 4 out."""
    usage = {
        "input_tokens": 5, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3, "output_tokens": 4,
        "service_tier": "standard",
    }  # fmt: skip
    fields = {"subtype": "success", "is_error": False, "stop_reason": "end_turn", "usage": usage, **given}
    return ResultMessage(
        duration_ms=9, duration_api_ms=8, num_turns=1, session_id="s", total_cost_usd=0.1, **fields
    )


class Script:
    """What the next queries do, and what they were asked."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.stderr: list[str] = []
        self.hangs = False
        self.grace = 0.0
        self.asked: list[tuple[str, ClaudeAgentOptions]] = []
        self.programs: list[asyncio.subprocess.Process] = []
        self.started = asyncio.Event()
        self.most = 0

    async def query(self, *, prompt: str, options: ClaudeAgentOptions) -> AsyncIterator[Any]:
        self.asked.append((prompt, options))
        program = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=-1, stderr=-3)
        self.programs.append(program)
        self.started.set()
        self.most = max(self.most, sum(p.returncode is None for p in self.programs))
        try:
            for line in self.stderr:
                assert options.stderr is not None
                options.stderr(line)
            for message in self.messages:
                await asyncio.sleep(0)
                if isinstance(message, Exception):
                    raise message
                yield message
                if isinstance(message, ResultMessage) and message.is_error:
                    raise ResultError("Claude Code returned an error result (exit code: 1)")
            if self.hangs:
                await asyncio.sleep(60)
        finally:
            await asyncio.sleep(self.grace)
            program.terminate()
            await program.wait()


def module(script: Script) -> ModuleType:
    """The module that `import claude_agent_sdk` finds."""
    made = ModuleType("claude_agent_sdk")
    made.__spec__ = ModuleSpec("claude_agent_sdk", None)
    made.__dict__.update({name: value for name, value in globals().items() if isinstance(value, type)})
    made.__dict__["query"] = script.query
    return made
