"""A switchover on purpose: what its script asks of the servers and leaves behind, and what is said of it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from rows import each_row
from servers import wait_for

from techsapo_ops.services.redis.switchover import _SCRIPT

# A file of the folder answers each question, by server and command, and each is written down. A Sentinel that
# is told to switch makes the new one the master.
_CLI = """#!/bin/sh
[ "$1 $3" = "-h -p" ] || exit 9
host=$2; shift 4
echo "$host: $*" >> log
case $host-$1-$2 in
  sentinel-SENTINEL-FAILOVER) [ -e keeps ] || cp promoted new-INFO-replication ;;
esac
cat "$host-$1-$2" 2>/dev/null || { [ "$1 $2" = "INFO replication" ] || echo OK; }
"""
REPLICAS = "name\nx\nip\n{ip}\nflags\n{flags}\nslave-priority\n{priority}\n"
CHOSEN = REPLICAS.format(ip="third", flags="slave", priority=100) + REPLICAS.format(
    ip="new", flags="slave", priority=1
)
HEALTHY = {
    "old-INFO-replication": "role:master\r\nmaster_repl_offset:5000\r\n",
    "new-INFO-replication": "role:slave\r\nslave_repl_offset:5000\r\n",
    "promoted": "role:master\r\nsecond_repl_offset:5001\r\n",
    "sentinel-SENTINEL-REPLICAS": CHOSEN,
}


def script(
    folder: Path, answers: Mapping[str, str], patience: int = 3, stdout: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """The script among servers with these answers, in `folder`."""
    for name, text in {**HEALTHY, **answers}.items():
        (folder / name).write_text(text)
    for name, program in (("cli", _CLI), ("sleep", "#!/bin/sh\n")):
        (folder / name).write_text(program)
        (folder / name).chmod(0o755)
    words = ("switchover", "old", "new", "6379", "sentinel", "26379", "shop", "./cli", "4000", str(patience))
    return subprocess.Popen(
        ["sh", "-c", _SCRIPT, *words], cwd=folder, env={"PATH": f"{folder}:{os.environ['PATH']}"},
        stdout=stdout, start_new_session=True,
    )  # fmt: skip


def outcome(folder: Path, answers: Mapping[str, str]) -> tuple[str, list[str]]:
    """What it says last, and all that was asked."""
    said, _ = script(folder, answers).communicate(timeout=120)
    return said.decode().splitlines()[-1], (folder / "log").read_text().splitlines()


RESET = "new: CONFIG SET replica-priority 100"
UNPAUSE = "old: CLIENT UNPAUSE"


def test_it_is_switched_with_all_that_the_last_master_had_and_nothing_is_left_behind(tmp_path: Path) -> None:
    said, asked = outcome(tmp_path, {})

    assert said == "promoted 5000 5001"
    assert asked.index("old: CLIENT PAUSE 4000 WRITE") < asked.index("old: INFO replication")
    last = ["old: REPLICAOF new 6379", "old: CLIENT KILL TYPE normal SKIPME yes", RESET, UNPAUSE]
    assert asked[-4:] == last


@each_row(
    "answers, said",
    [
        ({"old-INFO-replication": ""}, "silent"),
        ({"new-INFO-replication": "role:slave\r\nslave_repl_offset:4999\r\n"}, "behind"),
        ({"new-INFO-replication": ""}, "behind"),
        ({"sentinel-SENTINEL-REPLICAS": ""}, "passed over"),
        ({"sentinel-SENTINEL-REPLICAS": CHOSEN.replace("\n1\n", "\n100\n")}, "passed over"),
        ({"sentinel-SENTINEL-REPLICAS": CHOSEN.replace("\n100\n", "\n1\n")}, "passed over"),
        ({"old-CLIENT-PAUSE": "NOPERM"}, "paused not"),
    ],
)
def test_without_all_that_the_last_master_has_no_sentinel_is_told_and_writes_go_on(
    tmp_path: Path, answers: dict[str, str], said: str
) -> None:
    told, asked = outcome(tmp_path, answers)

    assert told == said
    assert not [each for each in asked if "FAILOVER" in each]
    assert RESET in asked[-2:], (
        "one that Sentinels prefer would win a later failover with less than another has"
    )
    assert asked[-1] == (RESET if said == "passed over" else UNPAUSE)


def test_a_lost_replica_with_an_older_priority_is_no_other_choice(tmp_path: Path) -> None:
    lost = REPLICAS.format(ip="third", flags="s_down,slave,disconnected", priority=1)
    mine = REPLICAS.format(ip="new", flags="slave", priority=1)
    assert outcome(tmp_path, {"sentinel-SENTINEL-REPLICAS": lost + mine})[0] == "promoted 5000 5001"


def test_a_sentinel_that_refuses_is_quoted_and_writes_go_on(tmp_path: Path) -> None:
    refused = {"sentinel-SENTINEL-FAILOVER": "NOGOODSLAVE No suitable replica to promote", "keeps": ""}

    said, asked = outcome(tmp_path, refused)

    assert said == "refused NOGOODSLAVE No suitable replica to promote"
    assert asked[-2:] == [RESET, UNPAUSE]


@each_row("answer", ["OK", ""])
def test_while_it_may_still_be_promoted_no_write_is_let_in_that_would_be_lost(
    tmp_path: Path, answer: str
) -> None:
    """A Sentinel that did not answer in time may have begun all the same."""
    said, asked = outcome(tmp_path, {"sentinel-SENTINEL-FAILOVER": answer, "keeps": ""})

    assert (said, asked[-1]) == ("late", RESET)
    assert UNPAUSE not in asked


def test_stopped_half_way_it_leaves_no_preference_behind(tmp_path: Path) -> None:
    running = script(tmp_path, {"sentinel-SENTINEL-REPLICAS": ""}, 600)
    log = tmp_path / "log"
    wait_for(lambda: log.exists() and "REPLICAS" in log.read_text(), what="it asks the Sentinel")
    os.killpg(running.pid, signal.SIGTERM)
    running.communicate(timeout=60)

    assert log.read_text().splitlines()[-1] == RESET


def test_with_nobody_left_to_hear_of_it_nothing_is_promoted(tmp_path: Path) -> None:
    hears, says = os.pipe()
    os.close(hears)
    running = script(tmp_path, {}, stdout=says)
    os.close(says)
    running.wait(60)

    asked = (tmp_path / "log").read_text().splitlines()
    assert not [each for each in asked if "FAILOVER" in each]
    assert asked[-2:] == [RESET, UNPAUSE]
