"""What is said of hosts that were away when something was brought to all of them."""

from __future__ import annotations

from collections.abc import Mapping

from techsapo_ops.messages import msg


def lacking(away: Mapping[str, str]) -> str:
    """What hosts lack that were passed over, with the reasons; nothing where there are none."""
    if not away:
        return ""
    return msg(
        "{hosts} lacks this, and once it is back goes by what it had, until the next `techsapo up`, "
        "certificate, key or job brings it there",
        hosts="; ".join(f"{name} ({why})" for name, why in away.items()),
    )
