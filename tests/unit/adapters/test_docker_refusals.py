"""What is said where the Docker of a machine can't be spoken to."""

from __future__ import annotations

import re

import pytest

from techsapo_ops.adapters.away import HostsAway, reasons_of
from techsapo_ops.adapters.docker_api import get
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.swarm_objects import named
from techsapo_ops.catalogue.translations import words_of
from techsapo_ops.engines.swarm.nodes import require_all
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import said
from tests.fakes.swarm_hosts import HostsFake

SSH = (
    'error during connect: Get "http://docker.example.com/v1.45/info": command [ssh -o ConnectTimeout=30 -l '
    "ops -- a docker system dial-stdio] has exited with exit status 255, please make sure the URL is valid, "
    "and Docker 18.09 or later is installed on the remote host: stderr={}"
)


def test_every_command_says_so_of_hosts_that_do_not_answer() -> None:
    hosts = HostsFake()
    hosts.hosts["a"].silent = SSH.format("ssh: Could not resolve hostname a: Name or service not known")
    hosts.hosts["b"].silent = SSH.format("ssh: connect to host b port 2299: Connection refused")
    hosts.hosts["c"].silent = "timeout"
    whys = "a: nobody knows the name a; b: it refuses ssh on port 2299; c: it did not answer within 6 s"
    silent = Fleet(hosts, "docker", {name: f"ssh://ops@{name}" for name in "abc"})

    with pytest.raises(HostsAway) as all_away:
        silent.manager.call("node", "ls")
    assert reasons_of(all_away.value.unreachable) == whys

    silent.containers("shop")
    with pytest.raises(OpsError, match="not all hosts can be reached") as away:
        require_all(silent)
    assert re.sub("[26] s", "6 s", away.value.message).startswith(f"not all hosts can be reached ({whys})")
    told = str(said(away.value.message, words_of("ja")))
    assert "a: a という名前" in told
    assert "nobody" not in told
    with pytest.raises(OpsError, match="a can't be reached: nobody knows the name a"):
        silent.members["a"].call("config", "ls")
    with pytest.raises(OpsError, match=r"^a can't be reached: nobody knows the name a$"):
        get(silent.members["a"], "/nodes", 6.0)
    with pytest.raises(OpsError, match="can't be read: a can't be reached: nobody knows the name a"):
        named(silent.members["a"], "shop.state", "shop.state.1")
