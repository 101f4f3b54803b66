"""`techsapo start`."""

from __future__ import annotations

from techsapo_ops.apply.stopping import start_services
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import GateOption, NamedServicesArgument, QuietOutput, SpecPlace, WaitOption
from techsapo_ops.messages import msg


def start(
    services: NamedServicesArgument = None,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    timeout: GateOption = None,
    out: QuietOutput,
) -> None:
    """Start services that `techsapo stop` has stopped, as `up` started them last.

    Ends with 0 once each is ready. `techsapo up` starts a stack that is down.

    Examples:

      techsapo start grafana

      techsapo start
    """
    stack = open_stack(place.open(), seconds=timeout)
    done = start_services(stack, tuple(services or ()), wait=wait, say=out.say)
    if done.services:
        out.say(msg("started {services}", services=", ".join(done.services)))
    elif not done.later:
        out.say(msg("nothing was stopped"))
    if done.later:
        out.say(msg("not made yet: {later}", later=", ".join(done.later)))
        out.next(f"techsapo up {' '.join(done.later)}")
