"""What Sentinel's start script keeps of what it had found out, while nobody else answers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from machines_spec import machines_files, machines_topology

from techsapo_ops.stack.address import Viewpoint

STARTED = '#!/bin/sh\n[ "$2" = --sentinel ]\n'
KNEW = """port 26379
sentinel myid {id}
sentinel monitor techsapo {a} 6379 2
sentinel current-epoch 4
sentinel config-epoch techsapo 4
sentinel known-replica techsapo {a} 6379
sentinel known-replica techsapo {b} 6379
sentinel known-replica techsapo {c} 6379
sentinel known-replica techsapo 192.0.2.9 6379
sentinel known-sentinel techsapo {a} 26379 {id}
sentinel known-sentinel techsapo {b} 26379 {id}
sentinel known-sentinel techsapo 192.0.2.9 26379 {id}
"""


def started(folder: Path, me: str, knew: str) -> list[str]:
    """The settings that Sentinel of `me` is started with, where it left `knew` behind."""
    programs = {"redis-server": STARTED, "redis-cli": "#!/bin/sh\nexit 1\n"}
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "secret").write_text("x" * 32)
    (folder / "sentinel.conf").write_text(knew)
    script = machines_files()["sentinel/start.sh"].replace("data=/data", f"data={folder}")
    script = script.replace('data="/data"', f'data="{folder}"')
    for word in {w.strip("'\"();") for w in script.split() if "/run/secrets/" in w or "/etc/techsapo/" in w}:
        script = script.replace(word, str(folder / "secret"))
    subprocess.run(
        ["sh", "-c", script],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "TECHSAPO_ADDRESS": me},
        check=True,
        capture_output=True,
        timeout=60,
    )
    return (folder / "sentinel.conf").read_text().splitlines()


def test_a_sentinel_that_starts_while_the_master_is_lost_still_knows_the_replica_beside_it(
    tmp_path: Path,
) -> None:
    """It would promote the other one, which may lack what was confirmed by the one beside it."""
    topology = machines_topology()
    a, b, c = (topology.address(s, Viewpoint.SERVICE).host for s in topology.of_kind("redis"))

    found = started(tmp_path, b, KNEW.format(a=a, b=b, c=c, id="1" * 40))

    assert [line for line in found if "known-replica" in line] == [
        f"sentinel known-replica techsapo {at} 6379" for at in (b, c)
    ], "nor is the master a replica of itself"
    assert [line for line in found if "known-sentinel" in line] == [
        f"sentinel known-sentinel techsapo {a} 26379 {'1' * 40}"
    ]
    assert f"sentinel monitor techsapo {a} 6379 2" in found
    assert "sentinel config-epoch techsapo 4" in found
