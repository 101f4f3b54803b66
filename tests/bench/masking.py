"""Masking a log full of words such as password and key, beside trying each rule at every place of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from techsapo_ops.masking.masker import mask, masking_rules
from tests.bench.row import Row
from tests.bench.texts import SECRETIVE, log

SHORT, LONG = 8 * 1024, 64 * 1024
TARGET = 4.0
"""Milliseconds for the short log on a quiet machine."""
QUICKER = 0.09
"""Most of the baseline's time. Masking looks twice at the lines that the first look changes."""
LINEAR = 10.0
"""Most times as long for a log that is eight times as long."""


def run() -> Iterator[Row]:
    """Print the absolute figure, then yield the ratios."""
    short, long = log(SHORT, SECRETIVE), log(LONG, SECRETIVE)
    everywhere = _milliseconds(lambda: [list(rule.spans(short)) for rule in masking_rules()["secrets"]])
    quick, slow = (_milliseconds(partial(mask, text, "secrets")) for text in (short, long))
    print(f"8 KB: {quick:.1f} ms ({'target' if quick <= TARGET else 'MISSED'} {TARGET:g})")
    yield Row("8 KB of log", quick, everywhere, QUICKER)
    yield Row("64 KB beside 8 KB of log", slow, quick, LINEAR)


def _milliseconds(work: Callable[[], object]) -> float:
    """Processor milliseconds of the quickest of seven passes."""
    took = []
    for _ in range(7):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took) * 1000
