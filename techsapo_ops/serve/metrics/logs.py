"""Structured logs: one JSON object a line on stdout, the timestamp first."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TextIO, cast

import structlog

from techsapo_ops.adapters.jsons import dump
from techsapo_ops.adapters.terminal import harmless_json
from techsapo_ops.masking.masker import mask
from techsapo_ops.serve.metrics.tracing import with_trace
from techsapo_ops.spec.models.upkeep import Logs

_LEVELS = {"error": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}
_NAMES = {"warning": "warn", "critical": "error", "exception": "error"}
REFUSED_LINES = 20
"""Lines a minute about requests refused for one reason."""
_MINUTE = 60.0


def configure_logs(
    spec: Logs, instance: str, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
) -> None:
    """Send structlog's and the standard library's logs to `stream` (stdout) from `spec.level` on.

    Both take the same way, so that uvicorn's and a library's lines look like ours. `clock` counts seconds.
    """
    out = cast("TextIO", _Sink(stream or sys.stdout))
    level = _LEVELS[spec.level]
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        with_trace,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _masked,
        _Shape(instance),
    ]
    renderer = structlog.processors.JSONRenderer(_rendered)
    structlog.configure(
        processors=[_RefusedRequests(clock), *shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=stream is None,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), _without_colour, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for chatty in ("httpx2", "httpx", "httpcore", "aiohttp", "asyncio"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
    logging.getLogger("alembic.runtime.plugins").setLevel(max(level, logging.WARNING))  # six lines a start
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True


def _rendered(event: structlog.types.EventDict, **_: Any) -> str:
    """`event` as JSON, also on a terminal; what JSON has no word for as text."""
    return harmless_json(dump(event, default=str).decode())


class _RefusedRequests:
    """A processor that bounds the lines with a field `refused`, the reason why a request was refused: a flood
    must not push everything else out of the log. The metrics count every request.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._minute = 0
        self._lines: Counter[str] = Counter()

    def __call__(
        self, _logger: Any, _method: str, event: structlog.types.EventDict
    ) -> structlog.types.EventDict:
        reason = event.pop("refused", None)
        if reason is None:
            return event
        minute = int(self._clock() / _MINUTE)
        if minute != self._minute:
            self._minute = minute
            self._lines.clear()
        kind = f"{event['event']}: {reason}"
        self._lines[kind] += 1
        if self._lines[kind] > REFUSED_LINES:
            raise structlog.DropEvent
        if self._lines[kind] == REFUSED_LINES:
            event["more"] = "further lines of this kind are left out for up to a minute"
        return event


class _Sink:
    """A stream to which writing never fails: a full disk or a closed pipe must fail no request.

    Lines that could not be written are counted, and told of once writing works again.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lost = 0

    def write(self, text: str) -> int:
        """Write, or count the line as lost."""
        if self._lost:
            text = f'{{"level": "error", "message": "Log lines were lost", "lines": {self._lost}}}\n{text}'
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream is closed
            self._lost += 1
        else:
            self._lost = 0
        return len(text)

    def flush(self) -> None:
        """Nothing is left: every line is flushed as it is written."""


class _Shape:
    """Orders a line: timestamp, level, message, instance, then the fields."""

    def __init__(self, instance: str) -> None:
        self._instance = instance

    def __call__(
        self, _logger: Any, method: str, event: structlog.types.EventDict
    ) -> structlog.types.EventDict:
        level = str(event.pop("level", method))
        return {
            "timestamp": event.pop("timestamp"),
            "level": _NAMES.get(level, level),
            "message": event.pop("event", ""),
            "instance": self._instance,
            **event,
        }


_FREE_TEXT = ("event", "error", "detail", "exception", "trouble")
"""Fields whose words come from elsewhere: vendors, databases, tracebacks."""
_SHORT = 200


def _masked(_logger: Any, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Take secrets and personal data out of what others have worded."""
    for name in _FREE_TEXT:
        value = event.get(name)
        if isinstance(value, str):
            event[name] = _message(value) if name == "event" and len(value) <= _SHORT else mask(value)
    return event


@lru_cache(maxsize=256)
def _message(text: str) -> str:
    """A line's message, masked. Nearly all are our own words, the same each time."""
    return mask(text)


def _without_colour(
    _logger: Any, _method: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    """Drop uvicorn's second copy of each message."""
    event.pop("color_message", None)
    return event
