"""How clients log in at the stack's Redis."""

from __future__ import annotations

from typing import Literal

from techsapo_ops.spec.models import Spec

RedisLogin = Literal["given", "made", "none"]
GIVEN: RedisLogin = "given"
"""By the password that the spec has."""
MADE: RedisLogin = "made"
"""By accounts whose passwords the tool makes."""
NONE: RedisLogin = "none"
"""Not at all: whoever reaches it may do everything."""


def redis_login(spec: Spec) -> RedisLogin:
    """How clients log in."""
    if spec.redis.password is not None:
        return GIVEN
    return MADE if spec.redis.accounts is not False else NONE
