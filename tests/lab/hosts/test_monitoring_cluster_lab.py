"""Two Prometheis and three Alertmanagers on three machines: one alert is told once, whoever is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from monitoring_cluster import QUIET, Cluster, ended, monitoring_cluster, wait, whole
from servers import binary

from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.services.alertmanager.acknowledging import Claim, acknowledge, acknowledgements, episodes

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with monitoring_cluster(tmp_path_factory.mktemp("cluster")) as made:
        whole(made)
        yield made


def statuses(cluster: Cluster, to: str = "critical") -> list[str]:
    return [told.status for told in cluster.told(to)]


def test_with_one_alertmanager_killed_and_one_prometheus_an_alert_and_its_end_are_a_message_each(
    cluster: Cluster,
) -> None:
    cluster.kill("alertmanager-a")
    cluster.kill("prometheus-b")
    try:
        cluster.down(down=True)
        wait(lambda: bool(cluster.told("next")), "the next receiver, when each had its turn long ago")
        ended(cluster)
        wait(lambda: "resolved" in statuses(cluster, "next"), "the end at the next receiver")
        assert statuses(cluster) == ["firing", "resolved"]
        assert statuses(cluster, "next") == ["firing", "resolved"]
        assert {told.machine for told in cluster.told()} <= {"b", "c"}
    finally:
        cluster.start(cluster.services("alertmanager")[0])
        cluster.start(cluster.services("prometheus")[1])


def test_both_prometheis_say_the_same_beginning_also_one_that_came_later(cluster: Cluster) -> None:
    whole(cluster)
    cluster.kill("prometheus-b")
    cluster.down(down=True)
    wait(lambda: bool(began(cluster, "a")), "an episode")
    (first,) = began(cluster, "a")
    cluster.start(cluster.services("prometheus")[1])
    wait(lambda: began(cluster, "b") == [first], "the same beginning")
    assert began(cluster, "a") == [first]
    cluster.down(down=False)


def began(cluster: Cluster, machine: str) -> list[str]:
    return [i.since for i in episodes(cluster.ask(Prometheus, machine)) if i.alert == "AppDown"]


def test_who_acknowledges_at_one_of_them_has_it_at_all_and_the_next_receiver_is_not_told(
    cluster: Cluster,
) -> None:
    whole(cluster)
    cluster.kill("alertmanager-a")
    restarted = False
    try:
        cluster.down(down=True)
        wait(lambda: bool(began(cluster, "a")) and began(cluster, "a") == began(cluster, "b"), "an episode")
        (episode,) = [i for i in episodes(cluster.ask(Prometheus, "a", "b")) if i.alert == "AppDown"]
        claim = Claim("hanako", datetime.now(UTC) + timedelta(hours=1))
        (made,) = acknowledge(cluster.ask(Alertmanager, "a", "b", "c"), [episode], claim)
        for machine in "bc":
            server = cluster.ask(Alertmanager, machine)
            wait(lambda s=server: [a.id for a in acknowledgements(s)] == [made.id], "told on")  # type: ignore[misc]
        # By group_interval it may wait for its turn; an episode that is over before has no messages at all.
        wait(lambda: statuses(cluster)[-1:] == ["firing"], "its beginning")
        time.sleep(QUIET)
        assert cluster.told("next", "firing") == []
        cluster.start(cluster.services("alertmanager")[0])
        restarted = True
        back = cluster.ask(Alertmanager, "a")
        wait(lambda: [a.id for a in acknowledgements(back)] == [made.id], "one that comes back knows it")
        cluster.down(down=False)
        wait(lambda: statuses(cluster)[-1] == "resolved", "its end")
        assert cluster.told("next", "firing") == []
    finally:
        cluster.down(down=False)
        if not restarted:
            cluster.start(cluster.services("alertmanager")[0])


def test_who_is_in_their_network_and_is_none_of_them_silences_nothing(cluster: Cluster) -> None:
    """As another container of the stack that was taken over: it needs no login for what members say."""
    whole(cluster)
    port, at = 9095, cluster.address("c")
    words = [
        binary("prometheus-alertmanager"), f"--config.file={cluster.folder}/config/stranger.yml",
        f"--storage.path={cluster.folder}/stranger", f"--web.listen-address={at}:{port}",
        f"--cluster.listen-address={at}:9096", f"--cluster.peer={cluster.address('a')}:9094",
        "--cluster.reconnect-interval=1s",
    ]  # fmt: skip
    (cluster.folder / "config/stranger.yml").write_text("route: {receiver: x}\nreceivers: [{name: x}]\n")
    log = cluster.folder / "stranger.log"
    with log.open("wb") as said:
        cluster.running["stranger"] = subprocess.Popen(
            [*cluster.machines["c"].enter(), *words], stdout=said, stderr=said, start_new_session=True
        )
    try:
        stranger = Alertmanager([f"http://{at}:{port}"], timeout=20, way=cluster.way)
        wait(lambda: bool(stranger.status()), "the stranger's own API")
        every = Matcher("alertname", "=~", ".+")
        now = datetime.now(UTC)
        stranger.silence([every], now, now + timedelta(hours=1), "nobody", "all of them")
        wait(lambda: "failed to join" in log.read_text().lower(), "it was turned away")
        sizes = 'max(alertmanager_cluster_members{job="alertmanager"}) == 3'
        for machine in "ab":
            assert cluster.ask(Prometheus, machine).query(sizes)
        for machine in "abc":
            found = cluster.ask(Alertmanager, machine).silences()
            assert not [silence for silence in found if silence.created_by == "nobody"]
    finally:
        cluster.kill("stranger")
