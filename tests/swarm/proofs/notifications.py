"""Notifications: how often one alert is told by two Prometheis and three Alertmanagers, one of them lost.

Both are started from the generated files, on networks of their own that reach a webhook outside.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from monitoring_cluster import QUIET, Cluster, ended, fired, monitoring_cluster, wait, whole

from tests.swarm.figures import Figures
from tests.swarm.ground import Ground

_GROUPS_GO = 35.0
"""Seconds after which Alertmanager has removed a group without alerts."""


def prove(ground: Ground, found: Figures) -> None:
    """Kill the Alertmanager and the Prometheus of a machine, and part a machine from the others."""
    with (
        tempfile.TemporaryDirectory(prefix="techsapo-told-") as folder,
        monitoring_cluster(Path(folder)) as all_,
    ):
        _killed(all_, ground.cuts, found)
        _parted(all_, ground.cuts, found)


def _anew(cluster: Cluster) -> None:
    """Wait until the groups of before are gone from each Alertmanager, which looks after half a minute.

    One that has it still would look at what comes next at other moments than one that was started anew.
    """
    whole(cluster)
    time.sleep(_GROUPS_GO)
    whole(cluster)


def _killed(cluster: Cluster, times: int, found: Figures) -> None:
    firing, resolved = [], []
    for number in range(times):
        _anew(cluster)
        lost = number % 3
        names = [cluster.services("alertmanager")[lost], *cluster.services("prometheus")[lost : lost + 1]]
        for service in names:
            cluster.kill(service.name)
        fired(cluster)
        ended(cluster)
        firing.append(len(cluster.told(status="firing")))
        resolved.append(len(cluster.told(status="resolved")))
        for service in names:
            cluster.start(service)
    found.add("a machine's Alertmanager and Prometheus killed: messages of an alert", "messages", firing, 1)
    found.add("a machine's Alertmanager and Prometheus killed: messages of its end", "messages", resolved, 1)


def _parted(cluster: Cluster, times: int, found: Figures) -> None:
    apart, repeats, news = [], [], []
    for number in range(times):
        _anew(cluster)
        machine = "abc"[number % 3]
        cluster.cut(machine)
        fired(cluster)
        wait(lambda: bool(cluster.told(status="firing")), "a message")
        apart.append(len(cluster.told()))
        cluster.heal(machine)
        time.sleep(3 * QUIET)
        repeats.append(len(cluster.told()) - apart[-1])
        news.append(len({told.key for told in cluster.told(status="firing")}))
        ended(cluster)
    found.add("a machine parted from the others, which all reach the receiver: messages", "messages", apart)
    found.add("repeats after it heals", "messages", repeats, 3)
    found.add("of all of these, different by group, status and fingerprints", "messages", news, 1)
