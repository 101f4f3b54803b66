"""Incidents in a cluster of three MariaDB: a process at each member, and all hear the same at once.

Two apps at one MariaDB are in test_storm_lab.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import incident_reporter
import pytest
from galera_lab import Member, cluster, three_machines
from incident_reporter import EACH, GROUPS

from techsapo_ops.render.templates import Templates

pytestmark = pytest.mark.lab


def hearing(words: Sequence[str], member: Member) -> subprocess.Popen[str]:
    argv = [sys.executable, incident_reporter.__file__, *words]
    pipe, path = subprocess.PIPE, str(Path(incident_reporter.__file__).parents[2])
    return subprocess.Popen(
        member.inside(*argv), stdin=pipe, stdout=pipe, stderr=pipe, text=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


def all_at_once(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        assert process.communicate(timeout=240) == ("", "")
        assert process.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="networks of its own need root")
def test_three_members_of_a_cluster_that_hear_the_same_at_once_have_one_incident_a_group(
    tmp_path: Path,
) -> None:
    with cluster(three_machines(tmp_path), Templates()) as running:
        running.seed()
        running.start()
        running.wait()
        names = [member.name for member in running.members]
        words = ["techsapo", "lab-app", "3306"]
        own = [[*names[n:], *names[:n]] for n in range(len(names))]
        all_at_once(
            [hearing([*words, *o], m) for o, m in zip(own, running.members, strict=True)]
        )  # fmt: skip
        counted = "SELECT COUNT(*), MAX(number), MIN(alerts), MAX(firing) FROM techsapo_audit.incidents"
        rows = "SELECT COUNT(*) FROM techsapo_audit.incident_alerts"
        for member in running.members:
            assert member.sql(counted) == [[str(GROUPS), str(GROUPS), str(EACH), str(EACH)]]
            assert member.sql(rows) == [[str(GROUPS * EACH)]]
