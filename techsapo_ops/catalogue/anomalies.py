"""What odd requests look like, loaded from anomalies.yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from techsapo_ops.catalogue.yaml_text import packaged_yaml

Reason = Literal[
    "sensitive_path",
    "sensitive_data",
    "scan",
    "burst",
    "oversized_body",
    "revoked_key",
    "expired_key",
    "key_scope",
    "key_networks",
]
"""The values of techsapo_anomaly_requests_total's label, as metrics.yaml explains them."""


@dataclass(frozen=True, slots=True)
class Signs:
    """One expression each for `paths` and `prompts`; the file's head explains them."""

    paths: re.Pattern[str]
    prompts: re.Pattern[str]


@cache
def signs() -> Signs:
    """The signs of anomalies.yaml."""
    entries = packaged_yaml("anomalies.yaml")
    return Signs(_any(entries["paths"]), _any(entries["prompts"]))


def _any(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{p})" for p in patterns), re.IGNORECASE | re.DOTALL)
