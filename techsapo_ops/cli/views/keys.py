"""How an API key is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from techsapo_ops.stores.keys import ApiKey


def public(key: ApiKey) -> dict[str, Any]:
    """What may be shown of a key, which is all but its digest."""
    told = {k: v for k, v in key.to_json().items() if k != "digest"}
    return {**told, "state": key.state(datetime.now(UTC))}
