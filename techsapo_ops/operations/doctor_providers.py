"""What doctor says of the tests of providers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from techsapo_ops.catalogue.models import WARNED_DAYS
from techsapo_ops.errors import OpsError
from techsapo_ops.health.provider_tests import COMMAND, tested_providers
from techsapo_ops.messages import msg
from techsapo_ops.stack.diagnosis import HostFinding, Level
from techsapo_ops.stack.topology import Topology


def look_at_tests(topology: Topology, today: date) -> Iterator[HostFinding]:
    """How each real provider did when it was tested last; nothing is asked.

    An end that the vendor's list named then is warned of when it is near `today`.
    """
    try:
        found = tested_providers(topology.spec, topology.layout.provider_tests)
    except OpsError as error:
        yield HostFinding("providers", "tests", Level.WARNING, error.message, error.hint)
        return
    for provider in found:
        name, test = f"provider {provider.name}", provider.test
        if test is None:
            told = msg("changed since it was tested") if provider.changed else msg("never tested")
            yield HostFinding("providers", name, Level.NOTE, told, f"{COMMAND} {provider.name}")
        elif test.outcome == "failed":
            told = msg("failed the test of {date}: {told}", date=test.at.date(), told=test.told)
            yield HostFinding("providers", name, Level.WARNING, told, test.remedy)
        elif test.outcome == "warning":
            told = msg("answered the test of {date}, but: {told}", date=test.at.date(), told=test.told)
            yield HostFinding("providers", name, Level.WARNING, told, test.remedy)
        elif test.ends is not None and (test.ends - today).days <= WARNED_DAYS:
            told = msg(
                "its model ends on {ends}, as known when it was tested on {date}",
                ends=test.ends,
                date=test.at.date(),
            )
            yield HostFinding("providers", name, Level.WARNING, told, msg("choose a current model"))
        else:
            yield HostFinding(
                "providers", name, Level.OK, msg("answered the test of {date}", date=test.at.date())
            )
