"""What no backup brings back: a key that was revoked after it, and money that was spent since."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from orchestrator import QUICK
from projects import Project, kill_all, only_redis, project
from quick_key import quick_repository
from servers import free_port, wait_for

pytestmark = pytest.mark.lab

PRICED = {name: {**p, "price": {"input": 0.0, "output": 50.0}} for name, p in QUICK.items()}
PASSWORD = "of the repository"


def status_of(made: Project, key: str, prompt: str = "why is the disk full?") -> int:
    """What the app answers to a question with that key."""
    asked = httpx.post(
        f"http://127.0.0.1:{made.spec['app']['port']}/api/v1/generate",
        json={"prompt": prompt},
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
        trust_env=False,
    )
    return asked.status_code


def create(made: Project, name: str) -> str:
    return str(json.loads(made.run("keys", "create", name, "--json").stdout)["key"])


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Project]:
    """A stack whose app wants keys, with a repository off-site."""
    (tmp_path / "restic").write_text(PASSWORD)
    quick_repository(tmp_path / "away", PASSWORD)
    spec = only_redis(
        providers=QUICK,
        backup={"offsite": {"restic": str(tmp_path / "away"), "password_file": str(tmp_path / "restic")}},
        schedule={"by": "none"},
    )
    spec["app"]["auth"] = {"required": True}
    with project(spec) as made:
        made.run("up")
        yield made


def test_a_revoked_key_is_revoked_after_a_restore_and_after_a_recovery(
    keyed: Project, tmp_path: Path
) -> None:
    gone, stays, turned = (create(keyed, name) for name in ("gone", "stays", "turned"))
    assert [status_of(keyed, key) for key in (gone, stays, turned)] == [200, 200, 200]
    whole = json.loads(keyed.run("backup", "--json").stdout)["id"]
    keyed.run("keys", "revoke", "gone")
    new = json.loads(keyed.run("keys", "rotate", "turned", "--overlap", "0", "--json").stdout)["key"]
    wait_for(lambda: status_of(keyed, gone) == 401, what="the key is revoked")
    keyed.run("restore", whole, "--only", "config", "--yes")
    wait_for(lambda: status_of(keyed, stays) == 200, what="the keys of the backup")
    assert [status_of(keyed, key) for key in (gone, turned, new)] == [401, 401, 200]

    # The host is lost. The whole copy is of before the revocation; the newest one, a part, knows of it.
    keyed.run("backup", "--only", "config")
    kill_all(keyed)
    shutil.rmtree(keyed.state)
    with recovering(keyed, tmp_path) as host:
        words = ("recover", "--from", str(tmp_path / "away"), "--at", "2999-01-01")
        looked = json.loads(host.run(*words, "--dry-run", "--json", timeout=180).stdout)
        assert looked["backup"] == whole
        assert [each["name"] for each in looked["api_keys"]] == ["stays"]
        done = json.loads(host.run(*words, "--yes", "--json", timeout=180).stdout)
        assert [each["name"] for each in done["api_keys"]] == ["stays"]
        assert done["data_of"] == looked["data_of"]
        assert 0 < looked["lost_seconds"] < 3600
        assert [status_of(host, key) for key in (stays, gone, turned)] == [200, 401, 401]


class recovering:  # noqa: N801 - a with statement reads so
    """An empty folder, out of which what runs is gone at the end."""

    def __init__(self, lost: Project, top: Path) -> None:
        self.made = Project.__new__(Project)
        self.made.directory, self.made.spec = top / f"new-{free_port()}", lost.spec
        self.made.environment, self.made.launcher = {"RESTIC_PASSWORD": PASSWORD}, ()
        self.made.python = lost.python

    def __enter__(self) -> Project:
        self.made.directory.mkdir()
        return self.made

    def __exit__(self, *_: object) -> None:
        kill_all(self.made)


def spent(made: Project) -> dict[str, float]:
    """USD of the day's and the month's budget, as the app says."""
    text = httpx.get(f"http://127.0.0.1:{made.spec['app']['port']}/metrics", trust_env=False, timeout=60).text
    return {
        period: float(usd)
        for period, usd in re.findall(r'^techsapo_budget_spent_usd{.*?period="(\w+)".*?} (\S+)$', text, re.M)
    }


def ask(made: Project, prompt: str) -> None:
    before = spent(made)["day"]
    made.run("ask", prompt)
    wait_for(lambda: spent(made)["day"] > before, what="the money is booked")


def logged(made: Project) -> float:
    """USD by the rows of the audit log."""
    return float(json.loads(made.run("answers", "costs", "--json").stdout)["total_usd"])


@contextmanager
def metered(**sections: Any) -> Iterator[Project]:
    """A stack whose app spends money."""
    spec = only_redis(
        providers=PRICED,
        budget={"monthly_usd": 1000, "daily_usd": 900, "count_simulated": True},
        schedule={"by": "none"},
        **sections,
    )
    with project(spec) as made:
        made.run("up")
        yield made


def still_counts(made: Project, *again: str) -> None:
    """What is spent after a backup counts after its restore; and once only when the app starts `again`."""
    ask(made, "why?")
    first = spent(made)
    whole = json.loads(made.run("backup", "--json").stdout)["id"]
    ask(made, "why not?")
    before = spent(made)
    assert before["day"] > first["day"]
    wait_for(lambda: logged(made) == pytest.approx(before["month"], abs=1e-6), what="its rows")
    made.run("restore", whole, "--yes")
    wait_for(lambda: spent(made) == pytest.approx(before), what="the same amounts")
    made.run(*(word.replace("BACKUP", whole) for word in again))
    wait_for(lambda: spent(made) == pytest.approx(before), what="the same later")
    assert logged(made) == pytest.approx(before["month"], abs=1e-6)


def test_what_was_spent_after_the_backup_still_counts_after_a_restore() -> None:
    with metered() as made:
        still_counts(made, "restore", "BACKUP", "--only", "redis", "--yes")


def test_without_redis_too_and_where_the_log_is_lost_the_day_counts_as_spent_until_it_is_reset() -> None:
    with metered(redis={"enabled": False}) as made:
        still_counts(made, "restart", "app")
        made.run("up")
        made.run("down")
        shutil.rmtree(made.state / "data" / "app")
        made.run("up", code=1)
        made.run("up", "--empty", "--yes")
        refused = made.run("ask", "502 once more", code=1)
        assert "techsapo answers reset-budget day" in refused.stderr
        made.run("answers", "reset-budget", "day", "--yes")
        made.run("ask", "502 and once more")
        made.run("down", "--volumes", "--yes")
        made.run("up")
        made.run("ask", "502")
