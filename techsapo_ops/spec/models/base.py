"""What every section of the spec is made of: the frozen base model and the small value types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.user_path import user_path


class Section(BaseModel):
    """A frozen section; unknown keys are errors.

    Sections default to `default_factory=X.model_construct`: an instance made at import would build its
    validator there and then, which costs every command more than reading a spec does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)
_SIZES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"(\d+)([KMGT]?)B?", re.IGNORECASE | re.ASCII)
_MAX_DIGITS = 18
_NUMBER = re.compile(r"\d{1,2}", re.ASCII)


@lru_cache(1024)
def seconds(duration: str) -> float:
    """Length of a Prometheus-style duration (`1h30m`, `500ms`) in seconds."""
    match = _DURATION.fullmatch(duration)
    if not duration or match is None or len(duration) > _MAX_DIGITS:
        if re.fullmatch(r"[0-9]{1,6}", duration):
            raise ValueError(
                msg("'{number}' is not a duration; write the unit too, e.g. {number}s", number=duration)
            )
        raise ValueError(
            msg("{duration} is not a duration; write e.g. 30s, 5m or 1h30m", duration=repr(duration))
        )
    units = ("y", "w", "d", "h", "m", "s", "ms")
    return sum(int(n) * _UNITS[unit] for n, unit in zip(match.groups(), units, strict=True) if n)


def size_bytes(size: str) -> int:
    """Bytes in a size such as `10M` or `1GB` (powers of 1024)."""
    match = _SIZE.fullmatch(size)
    if match is None or len(size) > _MAX_DIGITS:
        raise ValueError(msg("{size} is not a size; write e.g. 512K, 10M or 1G", size=repr(size)))
    return int(match[1]) * _SIZES[match[2].upper()]


def _duration(value: str) -> str:
    seconds(value)
    return value


def _positive_duration(value: str) -> str:
    if seconds(value) <= 0:
        raise ValueError(msg("must be longer than 0"))
    return value


def _size(value: str) -> str:
    size_bytes(value)
    return value


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _not_a_switch(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(msg("must be a number, not {value}", value=str(value).lower()))
    return value


def _host(value: str) -> str:
    """An IP address to listen on."""
    import ipaddress  # 4 ms that only specs with a host of their own pay

    try:
        ipaddress.ip_address(value)
    except ValueError:
        if value != "localhost":
            raise ValueError(
                msg("{value} is not an IP address; write e.g. 127.0.0.1 or 0.0.0.0", value=repr(value))
            ) from None
    return value


def _own_host(value: str) -> str:
    """The same of a server that people also have elsewhere."""
    try:
        return _host(value)
    except ValueError:
        raise ValueError(
            msg(
                "{value} is not an address to listen on: the stack runs this server itself, and external "
                "servers are not supported; write e.g. 127.0.0.1, or remove this key",
                value=repr(value),
            )
        ) from None


ATTACHED = "attached"
"""A word in place of a network: those that the host or container of the app is attached to."""


def _network(value: str) -> str:
    """A network of IP addresses, or `attached`."""
    import ipaddress

    if value == ATTACHED:
        return value
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        hint = msg("write e.g. 10.1.2.0/24, a single address, or {attached}", attached=ATTACHED)
        raise ValueError(msg("{value} is not a network; {hint}", value=repr(value), hint=hint)) from None


def is_loopback(host: str) -> bool:
    """Whether only this host reaches what listens on `host`."""
    return host in {"localhost", "::1"} or host.startswith("127.")


CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What no value of one line holds."""
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _without_end(value: object) -> object:
    return value.rstrip("\r\n") if isinstance(value, str) else value  # what a block of YAML ends with


def _one_line(value: str) -> str:
    if CONTROL.search(value):
        raise ValueError(
            msg("contains a line break or another control character; write the value on one line")
        )
    return value


def _no_control(value: str) -> str:
    if _CONTROL_BUT_LINES.search(value):
        raise ValueError(msg("contains a control character; remove that character"))
    return value


def known_home(value: str) -> str:
    """A path as it is written, whose `~` or `~USER`, if it starts with one, is a home folder of this host.

    Raises ValueError where there is none.
    """
    try:
        user_path(value)
    except OpsError as error:
        raise ValueError(msg("{message}; {hint}", message=error.message, hint=error.hint)) from None
    return value


def _file_pattern(value: str) -> str:
    *folders, file = value.split("/")
    if file in {"", ".", "..", "**"} or (file.startswith("~") and not folders):  # `~` alone is a folder
        raise ValueError(
            msg("{value} is a folder, not a pattern for files; write e.g. rules/*.yml", value=repr(value))
        )
    return _pattern(value)


def _pattern(value: str) -> str:
    if any("**" in part and part != "**" for part in value.split("/")):
        raise ValueError(
            msg(
                "in {value}, `**` must stand alone between slashes; write e.g. rules/**/*.yml",
                value=repr(value),
            )
        )
    return value


_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def _plain_cron(field: str, low: int, high: int) -> bool:
    """Whether a cron field is `*`, `*/N` or a list of numbers, all in range."""
    star, _, step = field.partition("/")
    if star == "*":
        return field == "*" or (_NUMBER.fullmatch(step) is not None and 1 <= int(step) <= high - low)
    return all(_NUMBER.fullmatch(n) is not None and low <= int(n) <= high for n in field.split(","))


def _cron(value: str) -> str:
    fields = value.split()
    ranges = _CRON_RANGES
    if len(fields) == 5 and all(_plain_cron(f, *r) for f, r in zip(fields, ranges, strict=True)):
        return " ".join(fields)  # a line break between them would end the line of a crontab
    from techsapo_ops.spec.cron import trigger

    trigger(value, "UTC")
    return " ".join(fields)


def _site(value: str) -> str:
    host, _, port = value.rstrip("/").rpartition(":")
    if host.startswith("http") and not port.endswith("]") and port.isdigit() and not 1 <= int(port) <= 65535:
        raise ValueError(msg("the port of {value} must be between 1 and 65535", value=repr(value)))
    return value.rstrip("/")


def _probed(value: str) -> str:
    from urllib.parse import urlsplit  # for specs with probes alone

    try:
        asked = urlsplit(value)
        port = asked.port
    except ValueError:
        raise ValueError(msg("{value} is not a URL that can be probed", value=repr(value))) from None
    if asked.username is not None:  # not shown: a password would be
        raise ValueError(
            msg("must not contain a login; for a page that requires a login, expect `status: [401]`")
        )
    if not asked.hostname or port == 0:
        raise ValueError(msg("{value} has no valid host or port", value=repr(value)))
    if asked.scheme in {"tcp", "tls"} and (port is None or asked.path or asked.query):
        raise ValueError(msg("{value} must be {scheme}://HOST:PORT", value=repr(value), scheme=asked.scheme))
    return value


def _host_port(value: str) -> str:
    if not 1 <= int(value.rpartition(":")[2]) <= 65535:
        raise ValueError(msg("the port of {value} must be between 1 and 65535", value=repr(value)))
    return value


_NAME = r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"
_LABEL = r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HOST_NAME = rf"^(\*\.)?({_LABEL}\.)*{_LABEL}$"
_HOST_LABEL = r"[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?"
_ALLOWED_HOST = rf"^(\*\.)?({_HOST_LABEL}\.)*{_HOST_LABEL}$"
HOST_PORT_PATTERN = r"^(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+):[0-9]{1,5}$"
SYSLOG_PATTERN = HOST_PORT_PATTERN.replace("^", r"^(udp://)?", 1)
_SITE = rf"^https?://(({_HOST_LABEL}\.)*{_HOST_LABEL}|\[[0-9a-fA-F:.]+\])(:[0-9]{{1,5}})?/?$"
_PROBED = r"^(https?|tcp|tls)://[^\s#\x00-\x1f\x7f-\x9f]+$"
_URL = r"^https?://[^\s\x00-\x1f\x7f-\x9f]+$"
PROJECT_PATTERN = r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"
PATH_PATTERN = r"^/[^\s\x00-\x1f\x7f-\x9f]*$"
_COMPONENT = "[a-z0-9]+(([_.]|__|-+)[a-z0-9]+)*"
_REGISTRY = rf"({_LABEL}(\.{_LABEL})*|\[[a-fA-F0-9:]+\])(:[0-9]+)?/"
IMAGE_PATTERN = (
    rf"^({_REGISTRY})?{_COMPONENT}(/{_COMPONENT})*(:[a-zA-Z0-9_][a-zA-Z0-9_.-]{{0,127}})?"
    r"(@[a-zA-Z][a-zA-Z0-9]*([+._-][a-zA-Z][a-zA-Z0-9]*)*:[0-9a-fA-F]{32,})?$"
)
"""A reference as github.com/distribution/reference defines it, by which Docker knows an image."""
LABEL_NAME_PATTERN = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
ACCOUNT_PATTERN = r"^[A-Za-z0-9_]{1,32}$"
HOST_KEY_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$"
"""A part of a service's name, which is a DNS label of 63 letters at most."""
_SSH_WORD = r"[a-zA-Z0-9_][a-zA-Z0-9._-]*"  # ssh would take one that begins with - for an option
DOCKER_PATTERN = (
    rf"^(ssh://({_SSH_WORD}@)?({_SSH_WORD}|\[[0-9a-fA-F:]+\])(:[0-9]{{1,5}})?|unix://(/[a-zA-Z0-9._-]+)+)$"
)
_CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"
_ZONE = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"

PATTERN_WORDS = {
    _NAME: msg("must be lower-case letters, digits, '.', '_' and '-', at most 63 characters"),
    PROJECT_PATTERN: msg("must be lower-case letters, digits, '_' and '-', at most 63 characters"),
    _HOST_NAME: msg("must be a host name such as ops.example.com"),
    _ALLOWED_HOST: msg("must be a host name without a port, such as ops.example.com or *.example.com"),
    HOST_PORT_PATTERN: msg("must be HOST:PORT, e.g. example.com:443"),
    SYSLOG_PATTERN: msg("must be HOST:PORT, e.g. logs.example.com:514, or udp://HOST:PORT"),
    _SITE: msg("must be only a scheme and a host, such as https://ops.example.com or http://10.0.0.5:8080"),
    _PROBED: msg("must be https://…, http://…, tcp://HOST:PORT or tls://HOST:PORT"),
    _URL: msg("must start with http:// or https:// and contain no spaces"),
    PATH_PATTERN: msg("must start with / and contain no spaces"),
    IMAGE_PATTERN: msg("must be an image such as redis:8 or registry.example.com/team/app@sha256:…"),
    LABEL_NAME_PATTERN: msg("must be letters, digits and '_', not starting with a digit"),
    _CLOCK: msg("must be a time between 00:00 and 24:00, e.g. 09:00"),
    _ZONE: msg("must be a time zone such as Asia/Tokyo or UTC"),
    ACCOUNT_PATTERN: msg("must be letters, digits and '_', at most 32 characters"),
    HOST_KEY_PATTERN: msg(
        "must be the host's own name: lower-case letters, digits and '-', at most 32 characters"
    ),
    DOCKER_PATTERN: msg(
        "must be ssh://[USER@]HOST[:PORT] with a numeric port and no path, or unix:///var/run/docker.sock "
        "on the host itself"
    ),
}
"""What each pattern asks for, in words, for error messages."""


@dataclass(frozen=True, eq=False)  # annotations are hashed, and a dict is not hashable
class Means:
    """What a value type is, in words for `techsapo config explain`, and its JSON Schema for editors."""

    words: str
    json_schema: Mapping[str, Any] | None = None

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """pydantic's hook: this schema in place of the one that it would derive."""
        derived: dict[str, Any] = handler(schema)
        return derived if self.json_schema is None else dict(self.json_schema)


_DURATION_SCHEMA = {"type": "string", "pattern": r"^([0-9]+(ms|[smhdwy]))+$"}
_SIZE_SCHEMA = {"type": ["string", "integer"], "pattern": r"^[0-9]+[KMGTkmgt]?[Bb]?$", "minimum": 0}

NotASwitch = BeforeValidator(_not_a_switch)  # pydantic takes true for 1
Port = Annotated[int, Field(ge=1, le=65535), NotASwitch, Means(msg("port"))]
Count = Annotated[int, Field(ge=0), NotASwitch]
Ratio = Annotated[float, Field(ge=0, le=1), NotASwitch]
Usd = Annotated[float, Field(ge=0, allow_inf_nan=False), NotASwitch, Means("USD")]
Number = Annotated[float, Field(allow_inf_nan=False), NotASwitch]
Duration = Annotated[
    str, AfterValidator(_duration), Means(msg("duration, e.g. 30s, 5m or 1h30m"), _DURATION_SCHEMA)
]
PositiveDuration = Annotated[
    str, AfterValidator(_positive_duration), Means(msg("duration, e.g. 30s, 5m or 1h30m"), _DURATION_SCHEMA)
]
Size = Annotated[
    str,
    BeforeValidator(_number_as_text),
    AfterValidator(_size),
    Means(msg("size, e.g. 512K, 10M or 1G"), _SIZE_SCHEMA),
]
ListenHost = Annotated[str, AfterValidator(_host), Means(msg("IP address"))]
OwnHost = Annotated[str, AfterValidator(_own_host), Means(msg("IP address"))]
"""Where a server of the stack listens that could be taken for one that runs elsewhere."""
Network = Annotated[str, AfterValidator(_network), Means(msg("network, e.g. 10.1.2.0/24"))]
Cron = Annotated[str, AfterValidator(_cron), Means(msg('cron expression, e.g. "0 2 * * *"'))]
Name = Annotated[str, StringConstraints(pattern=_NAME), Means(msg("name"))]
Text = Annotated[
    str,
    BeforeValidator(_without_end),
    StringConstraints(min_length=1, max_length=4096),
    AfterValidator(_one_line),
]
"""On one line, as it stands in files whose lines are directives. A line break at its end is taken off."""
CommandLine = Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(_no_control)]
"""Words of a command, over several lines where one likes; in no file but the spec."""
FilePath = Annotated[
    str,
    BeforeValidator(_without_end),
    StringConstraints(min_length=1, max_length=4096),
    AfterValidator(_one_line),
    AfterValidator(known_home),
    Means(msg("path")),
]
"""The path of a file or folder, relative ones from the spec's folder; `~` in front is a home folder."""
FilePattern = Annotated[FilePath, AfterValidator(_file_pattern)]
"""A path whose parts may hold `*`, for files."""
FolderOrPattern = Annotated[FilePath, AfterValidator(_pattern)]
"""The same, or a folder, for all files in it."""
ImageReference = Annotated[str, StringConstraints(pattern=IMAGE_PATTERN, max_length=512), Means(msg("image"))]
HostName = Annotated[str, StringConstraints(pattern=_HOST_NAME, max_length=253), Means(msg("host name"))]
AllowedHost = Annotated[
    str, StringConstraints(pattern=_ALLOWED_HOST, max_length=253), Means(msg("host name"))
]
HostPort = Annotated[
    str, StringConstraints(pattern=HOST_PORT_PATTERN), AfterValidator(_host_port), Means("HOST:PORT")
]
SyslogServer = Annotated[
    str, StringConstraints(pattern=SYSLOG_PATTERN), AfterValidator(_host_port), Means("HOST:PORT")
]
Site = Annotated[
    str,
    StringConstraints(pattern=_SITE, max_length=300),
    AfterValidator(_site),
    Means(msg("URL of a site, e.g. https://ops.example.com")),
]
ClockTime = Annotated[str, StringConstraints(pattern=_CLOCK), Means(msg("time of day, HH:MM"))]
TimeZone = Annotated[str, StringConstraints(pattern=_ZONE, max_length=64), Means(msg("time zone"))]
ProbedUrl = Annotated[
    str,
    StringConstraints(pattern=_PROBED, max_length=2048),
    AfterValidator(_probed),
    Means(msg("URL: https, http, tcp or tls")),
]
Url = Annotated[str, StringConstraints(pattern=_URL, max_length=2048), Means("URL")]
