"""What every section of the spec is made of: the frozen base model and the small value types."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


class Section(BaseModel):
    """A frozen section; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_SIZES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"(\d+)([KMGT]?)B?", re.IGNORECASE)


def seconds(duration: str) -> float:
    """Length of a Prometheus-style duration (`1h30m`, `500ms`) in seconds."""
    match = _DURATION.fullmatch(duration)
    if not duration or match is None:
        raise ValueError(f"{duration!r} is not a duration; write e.g. 30s, 5m or 1h30m")
    units = ("y", "w", "d", "h", "m", "s", "ms")
    return sum(int(n) * _UNITS[unit] for n, unit in zip(match.groups(), units, strict=True) if n)


def size_bytes(size: str) -> int:
    """Bytes in a size such as `10M` or `1GB` (powers of 1024)."""
    match = _SIZE.fullmatch(size)
    if match is None:
        raise ValueError(f"{size!r} is not a size; write e.g. 512K, 10M or 1G")
    return int(match[1]) * _SIZES[match[2].upper()]


def _duration(value: str) -> str:
    seconds(value)
    return value


def _positive_duration(value: str) -> str:
    if seconds(value) <= 0:
        raise ValueError("must be longer than 0")
    return value


def _size(value: str) -> str:
    size_bytes(value)
    return value


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _not_a_switch(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not a switch")
    return value


def _host(value: str) -> str:
    """An IP address to listen on."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if value != "localhost":
            raise ValueError(f"{value!r} is not an IP address; write e.g. 127.0.0.1 or 0.0.0.0") from None
    return value


def _cron(value: str) -> str:
    if len(value.split()) != 5:
        raise ValueError(f'{value!r} is not a cron expression; write five fields, e.g. "0 2 * * *"')
    from apscheduler.triggers.cron import CronTrigger  # heavy: only for specs that set a schedule

    try:
        CronTrigger.from_crontab(value, timezone="UTC")
    except ValueError as error:
        raise ValueError(f"{value!r} is not a cron expression: {error}") from None
    return value


Port = Annotated[int, BeforeValidator(_not_a_switch), Field(ge=1, le=65535)]
Count = Annotated[int, BeforeValidator(_not_a_switch), Field(ge=0)]
Ratio = Annotated[float, BeforeValidator(_not_a_switch), Field(ge=0, le=1)]
Usd = Annotated[float, BeforeValidator(_not_a_switch), Field(ge=0, allow_inf_nan=False)]
Duration = Annotated[str, AfterValidator(_duration)]
PositiveDuration = Annotated[str, AfterValidator(_positive_duration)]
Size = Annotated[str, BeforeValidator(_number_as_text), AfterValidator(_size)]
ListenHost = Annotated[str, AfterValidator(_host)]
Cron = Annotated[str, AfterValidator(_cron)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
HostName = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\*\.)?([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$"
    ),
]
HostPort = Annotated[str, StringConstraints(pattern=r"^(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+):[0-9]{1,5}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=2048)]
