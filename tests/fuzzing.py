"""How input is made: from fixed seeds in `make test`, from fresh ones and more of it in `make fuzz`."""

from __future__ import annotations

import os

from hypothesis import settings

FRESH = os.environ.get("FUZZ") == "fresh"
_MORE = 20

settings.register_profile("fixed", derandomize=True, database=None)
settings.register_profile("fresh", print_blob=True)
settings.load_profile("fresh" if FRESH else "fixed")


def examples(number: int) -> int:
    """How many inputs a test tries: `number`, and some times as many in `make fuzz`."""
    return number * _MORE if FRESH else number
