"""Masking a log full of words such as password and key, beside trying each rule at every place of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from techsapo_ops.masking.masker import mask, masking_rules
from tests.bench.row import Row

SHORT, LONG = 8 * 1024, 64 * 1024
TARGET = 4.0
"""Milliseconds for the short log on a quiet machine."""
QUICKER = 0.09
"""Most of the baseline's time. Masking looks twice at the lines that the first look changes."""
LINEAR = 10.0
"""Most times as long for a log that is eight times as long."""
LINES = (
    "sshd[{n}]: Failed password for invalid user admin{n} from 203.0.113.{host} port 4{n} ssh2",
    "sshd[{n}]: Accepted publickey for deploy from 10.0.0.{host} port 5{n} ssh2: ED25519 SHA256:Qk{n}",
    "app[{n}]: token refresh failed for user {n}: invalid_grant: refresh token expired",
    "redis[{n}]: WRONGPASS invalid username-password pair or user is disabled.",
    "nginx[{n}]: SSL_do_handshake() failed: bad key share, client: 10.0.0.{host}, server: api",
    "mysqld[{n}]: Access denied for user 'app{n}'@'10.0.0.{host}' (using password: YES)",
    "app[{n}]: login failed: DB_PASSWORD=hunter{n}x API key rejected by upstream",
    "vault[{n}]: secret/data/app: permission denied (token accessor {n}), key shares 3",
)


def run() -> Iterator[Row]:
    """Print the absolute figure, then yield the ratios."""
    short, long = log(SHORT), log(LONG)
    everywhere = _milliseconds(lambda: [list(rule.spans(short)) for rule in masking_rules()["secrets"]])
    quick, slow = (_milliseconds(lambda text=text: mask(text, "secrets")) for text in (short, long))
    print(f"8 KB: {quick:.1f} ms ({'target' if quick <= TARGET else 'MISSED'} {TARGET:g})")
    yield Row("8 KB of log", quick, everywhere, QUICKER)
    yield Row("64 KB beside 8 KB of log", slow, quick, LINEAR)


def log(size: int) -> str:
    """`size` characters of a log, each line of which speaks of secrets, and one in eight holds one."""
    lines, length, n = [], 0, 0
    while length < size:
        line = f"2026-12-01T04:{n // 60 % 60:02}:{n % 60:02}Z " + LINES[n % len(LINES)].format(
            n=n, host=n % 250
        )
        lines.append(line)
        length, n = length + len(line) + 1, n + 1
    return "\n".join(lines)[:size]


def _milliseconds(work: Callable[[], object]) -> float:
    """Processor milliseconds of the quickest of seven passes."""
    took = []
    for _ in range(7):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took) * 1000
