"""What a restore waits for while the Redis of several machines are stopped and started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from machines_spec import machines_topology

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.errors import OpsError
from techsapo_ops.services.redis.client import calm, in_step
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.service import Service


class Asked:
    """Redis and Sentinels that answer by `answers`, a function of a service's name and the command."""

    def __init__(self, answers: Callable[[str, str], list[str]]) -> None:
        self.answers = answers
        self.said: list[str] = []
        self.looks = 0

    def door(self, service: Service) -> Door:
        return Door(self, options=(service.name,))

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        asked = " ".join(command.argv[3:])
        if not asked.startswith(("SENTINEL MASTER", "INFO")):
            self.said.append(f"{command.argv[1]}: {asked}")
        return Completed(command, 0, "\n".join(self.answers(command.argv[1], asked)).encode(), b"")

    def pause(self, _: float) -> None:
        self.looks += 1


def flags(words: str) -> list[str]:
    return ["name", "techsapo", "flags", words]


def test_others_are_started_once_no_sentinel_takes_the_master_for_lost(tmp_path: Path) -> None:
    def answer(name: str, _: str) -> list[str]:
        lost = name == "sentinel-b" and asked.looks < 3
        return flags("s_down,o_down,master,failover_in_progress" if lost else "master")

    asked = Asked(answer)
    calm(machines_topology(tmp_path), asked.door, asked.pause)
    assert (asked.looks, asked.said) == (3, [])


def test_a_failover_that_waits_for_a_stopped_replica_is_forgotten(tmp_path: Path) -> None:
    """Its Sentinel waits without end for the replica that it had promoted, which the restore has stopped."""

    def answer(name: str, _: str) -> list[str]:
        stuck = name == "sentinel-a" and not asked.said
        return flags("master,failover_in_progress" if stuck else "master")

    asked = Asked(answer)
    calm(machines_topology(tmp_path), asked.door, asked.pause)
    assert asked.said == ["sentinel-a: SENTINEL RESET techsapo"]


def test_a_master_that_stays_lost_is_told_and_no_sentinel_forgets_it(tmp_path: Path) -> None:
    asked = Asked(lambda *_: flags("s_down,o_down,master,failover_in_progress"))
    with pytest.raises(OpsError, match="still consider the master lost"):
        calm(machines_topology(tmp_path), asked.door, asked.pause)
    assert asked.said == []


def test_a_restore_waits_until_the_others_have_copied_it(tmp_path: Path) -> None:
    """One of them would bring back what it had before, where it became the master."""
    master, *others = machines_topology(tmp_path).of_kind("redis")

    def answer(name: str, _: str) -> list[str]:
        up = asked.looks > (2 if name == "redis-b" else 4)
        return ["# Replication", "role:slave", f"master_link_status:{'up' if up else 'down'}"]

    asked = Asked(answer)
    in_step(master, others, asked.door, asked.pause)
    assert asked.looks == 5


def test_one_that_copies_nothing_is_told(tmp_path: Path) -> None:
    master, *others = machines_topology(tmp_path).of_kind("redis")
    asked = Asked(
        lambda name, _: ["role:master"] if name == "redis-c" else ["role:slave", "master_link_status:up"]
    )
    with pytest.raises(OpsError, match="redis-c did not copy the data of redis-a") as error:
        in_step(master, others, asked.door, asked.pause)
    assert error.value.hint == "`techsapo logs redis-c`"
