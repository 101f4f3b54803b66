"""Which state `techsapo alerts list` shows for an alert that the stack can not have."""

from __future__ import annotations

from pathlib import Path

from fakes.open_stacks import open_stack
from monitoring_stack import spec_of, topology_of

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.operations.watch.alerts import listed


def test_an_alert_about_a_server_that_the_stack_does_not_run_is_off_and_not_quiet(tmp_path: Path) -> None:
    spec = spec_of({"project": "t"})  # one app without nginx, and no MySQL
    found, _ = listed(open_stack(topology_of(spec, tmp_path)), None, None)
    states = {f.alert.name: f.state for f in found}
    assert set(states) == set(alerts())
    assert [states[n] for n in ("NginxDown", "MysqlDown", "RedisDown", "TargetDown")] == [
        "off", "off", "unknown", "unknown",
    ]  # fmt: skip
