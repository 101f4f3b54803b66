"""A stack on three machines that are lost, and back on three new ones out of its off-site repository alone.

Ids are put into Redis, rows and questions into the audit database, and an API key is made. Then all three
machines go, with all that they had; what is left is restic's repository. `techsapo recover` brings it back on
three machines that are in no Swarm, is killed -9 half way, and called again. At last it brings the same copy
back on one machine.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from projects import Project
from servers import wait_for
from swarm_lab import HOSTS, SwarmLab, swarm_lab

from tests.swarm.figures import Figures
from tests.swarm.ground import PROJECT, Ground, whole
from tests.swarm.proofs.moving import Moved

_PASSWORD = "of the repository"
_ASK = """
import ssl, sys, urllib.error, urllib.request
context = ssl._create_unverified_context()
headers = {"Content-Type": "application/json"}
headers |= {"Authorization": "Bearer " + sys.argv[2]} if sys.argv[2] else {}
request = urllib.request.Request(f"https://{sys.argv[1]}/api/v1/generate", b'{"prompt": "why?"}', headers)
try:
    print(urllib.request.urlopen(request, timeout=60, context=context).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""
"""Asks a question at an address with an API key, whatever certificate is there, and prints the status."""
_KEPT = ("keys/app-key", "backup-keys/key.json", "api-keys/keys.json", "certs/shop/privkey.pem")
"""Files of the state directory that have to be the same."""


def prove(_: Ground, found: Figures) -> None:
    """Lose everything, and have it back on three machines and on one."""
    with tempfile.TemporaryDirectory(prefix="techsapo-recovered-") as top:
        folder = Path(top)
        password = folder / "password"
        password.write_text(_PASSWORD)
        password.chmod(0o600)
        with swarm_lab() as lab:
            gone = _lose(lab, folder)
        with swarm_lab(joined=False) as lab:
            words = [f"--set=hosts.{m.name}.docker={m.docker}" for m in lab.machines.values()]
            host = _Empty(folder, "new", lab, gone)
            killed = host.killed(*words)
            found.add("three machines: from the first command to kill -9 in the restore", "s", [killed])
            seconds, said = host.recover(*words)
            found.add("three machines: the same command again", "s", [seconds])
            found.add("three machines: data back (without what was cut short)", "s", [said["data_seconds"]])
            places = [f"{kind}-{name}" for name in HOSTS for kind in ("redis", "mysql")]
            found.add("three machines: lost", "ids and rows", [host.moved.missing(*places)], 0)
            found.add("three machines: files that differ", "", [len(host.differ())], 0)
            found.add("three machines: hosts that refuse the API key", "", [host.refused()], 0)
            host.moved.project.run("plan", timeout=120)  # which ends with 100 where anything would change
        with swarm_lab(("a",), joined=False) as lab:
            host = _Empty(folder, "alone", lab, gone)
            seconds, _said = host.recover("--engine=compose")
            found.add("the same copy on one machine", "s", [seconds])
            found.add("one machine: lost", "ids and rows", [host.moved.missing("redis", "mysql")], 0)
            found.add("one machine: files that differ", "", [len(host.differ())], 0)
            host.moved.project.run("plan", timeout=120)
            host.moved.project.run("down", timeout=300)


class _Gone:
    """What there was: rows and ids, questions, and files."""

    def __init__(self, moved: Moved, key: str) -> None:
        self.put, self.key = moved.put, key
        self.questions = _questions(moved.project)
        self.files = {name: (moved.project.state / name).read_bytes() for name in _KEPT}


def _lose(lab: SwarmLab, folder: Path) -> _Gone:
    (directory := folder / PROJECT).mkdir()
    sections = whole(
        certificates={"shop": {"source": "self-signed", "names": ["shop.test"]}},
        backup={"offsite": {"restic": str(folder / "away"), "password_file": str(folder / "password")}},
        schedule={"by": "none"},
    )
    moved = Moved(Project(directory, lab.spec(**sections), launcher=lab.enter("a")))
    moved.up()
    said = moved.project.run("keys", "create", "me", "--json", timeout=120).stdout
    key = str(json.loads(said)["key"])
    moved.well(moved.project)
    for machine in lab.machines.values():
        assert _asked(lab, machine.address, key) == 200, machine.name
    moved.add()
    wait_for(lambda: _questions(moved.project).count("\n") >= len(HOSTS), what="the questions in the audit")
    moved.project.run("backup", timeout=300)
    return _Gone(moved, key)


class _Empty:
    """A folder on machine a of `lab`, into which the stack is recovered."""

    def __init__(self, folder: Path, name: str, lab: SwarmLab, gone: _Gone) -> None:
        self._lab, self._gone, self._from = lab, gone, folder / "away"
        (directory := folder / name).mkdir()
        project = Project.__new__(Project)
        project.directory, project.spec = directory, {}
        project.launcher, project.python = lab.enter("a"), sys.executable
        project.environment = {
            "RESTIC_PASSWORD": _PASSWORD,
            "DOCKER_HOST": lab.machines["a"].docker,
        }
        self.moved = Moved(project)
        self.moved.put = gone.put

    def _argv(self, *words: str) -> tuple[str, ...]:
        return ("recover", "--from", str(self._from), "--yes", *words)

    def killed(self, *words: str) -> float:
        """kill -9 once data is being replaced; seconds until then."""
        began = time.monotonic()
        recovering = self.moved.project.popen(*self._argv(*words))
        assert recovering.stderr is not None
        heard = []
        try:
            for line in recovering.stderr:
                heard.append(line)
                if "restoring redis" in line:
                    break
            time.sleep(5)  # Redis is being stopped by then
        finally:
            recovering.kill()
            recovering.communicate()
        assert any("restoring redis" in line for line in heard), "".join(heard)
        assert recovering.returncode == -signal.SIGKILL, "".join(heard)
        return time.monotonic() - began

    def recover(self, *words: str) -> tuple[float, dict[str, Any]]:
        """Call it to its end; its seconds, and what it said."""
        began = time.monotonic()
        done = self.moved.project.run(*self._argv(*words), "--json", timeout=1200)
        said: dict[str, Any] = json.loads(done.stdout)
        assert said["status"] == "healthy", said
        self.moved.well(self.moved.project)
        assert _questions(self.moved.project) == self._gone.questions
        return time.monotonic() - began, said

    def differ(self) -> list[str]:
        """Files that are not what they were."""
        state = self.moved.project.state
        return [n for n, content in self._gone.files.items() if (state / n).read_bytes() != content]

    def refused(self) -> int:
        """On how many machines the API key of before is not what lets one ask."""
        return sum(
            (_asked(self._lab, m.address, ""), _asked(self._lab, m.address, self._gone.key)) != (401, 200)
            for m in self._lab.machines.values()
        )


def _asked(lab: SwarmLab, address: str, key: str) -> int:
    argv = [*lab.enter_hub(), sys.executable, "-I", "-c", _ASK, address, key]
    return int(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout)


def _questions(project: Project) -> str:
    sql = "SELECT id, prompt_hash FROM audit_requests ORDER BY id"
    asked = ("exec", "mysql", "--", "mariadb", "-N", "--execute", sql, "techsapo_audit")
    return project.run(*asked).stdout
