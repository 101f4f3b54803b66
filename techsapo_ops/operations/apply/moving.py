"""A move from one host to several that was cut short, as other hosts see it."""

from __future__ import annotations

from techsapo_ops.engines.opening import leaving_one_host
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.apply.journal import Journal
from techsapo_ops.operations.apply.ledger import Ledger
from techsapo_ops.stack.layout import Layout


def may_run_on(layout: Layout) -> str:
    """The other host that may run the stack still, and alone: it was to move from there to several.

    "" where that is known to be over, or was here. What runs there can be seen from there alone.
    """
    return Journal(Ledger(layout.state)).elsewhere() if leaving_one_host(layout) else ""


def require_left(layout: Layout) -> None:
    """Raise OpsError where a stack that was to move to several hosts may still run on another one alone."""
    if host := may_run_on(layout):
        raise OpsError(
            msg("this stack's move from {host} to several hosts was cut short: it may still run there alone",
                host=host),
            msg("on {host}, in its folder, `techsapo up` goes on. Where {host} is lost for good: `techsapo "
                "down` here, then `techsapo up`", host=host),
        )  # fmt: skip
