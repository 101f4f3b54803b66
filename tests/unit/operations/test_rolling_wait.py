"""How long app instances behind nginx are given before the next one is restarted."""

from __future__ import annotations

from techsapo_ops.engines.base import Observed, ObservedService, State
from techsapo_ops.operations.rolling import RETURN_SECONDS, Rolling


def test_app_instances_behind_nginx_are_given_time_to_return() -> None:
    waits: list[float] = []
    nginx = Observed(True, {"nginx": ObservedService("nginx", "nginx", State.RUNNING)})
    rolling = Rolling(nginx, lambda _: None, waits.append)
    for kind in ("redis", "app", "nginx", "app", "app"):
        rolling.before(kind)
    assert waits == [RETURN_SECONDS, RETURN_SECONDS]
    alone = Rolling(Observed(True), lambda _: None, waits.append)
    alone.before("app")
    alone.before("app")
    assert len(waits) == 2
