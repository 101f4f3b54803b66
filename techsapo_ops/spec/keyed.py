"""Whether nginx sends a question with an Idempotency-Key to another instance where one dies over it."""

from __future__ import annotations

from techsapo_ops.spec.edition import Edition, chosen
from techsapo_ops.spec.models import Spec


def retries_keyed(spec: Spec, edition: Edition) -> bool:
    """Whether it does: where the instances share what they keep by the key."""
    return spec.redis.enabled and chosen(spec.nginx.retry_keyed, edition)
