"""A stack that an earlier version brought up, with something of everything in it, and the tool it is run by.

The tool is installed where a symlink points, so that it is replaced in place, as by `git pull` or by pip: the
commands of services, of the cron block and of its user stay the same. What a later version must not lose is
added to `fill` and `contents`, what it must not break to `upgrade_promises`; `upgrade_engines` has what
differs between the engines.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pymysql
import redis
from crond import Cron
from monitoring_login import KINDS
from orchestrator import QUICK
from projects import Project, only_redis
from servers import free_port, wait_for
from tools import Tool, earlier_tool, this_tool

REDIS_PASSWORD = 'redis\'s "鍵"'
RESTIC_PASSWORD = "restic's own"
QUESTION = "Dockerコンテナが起動しない"
USERS_CRONTAB = "# mine\n\nMAILTO=\n"
TEMPLATE = "redis/redis.conf.j2"
NEVER = "0 0 1 1 *"
JOBS = ("backup", "verify", "prune", "certs", "drift", "costs")
TABLES = {"audit_requests": ("id",), "audit_calls": ("request_row", "number")}
"""Tables of the audit database, with what tells their rows apart."""


def everything(away: Path, instances: int, **sections: Any) -> dict[str, Any]:
    """The spec: both databases, instances that want a key, jobs by cron, a copy of backups in `away`."""
    found = only_redis(
        app={
            "instances": [{"port": free_port()} for _ in range(instances)],
            "auth": {"required": True},
            "drain": "0s",
        },
        redis={"port": free_port(), "password": REDIS_PASSWORD},
        mysql={"port": free_port()},
        # With it, `up` waits between instances until it asks the restarted one again.
        nginx={"enabled": False, "listen": free_port(), "tls_listen": free_port()},
        providers=QUICK,
        backup={"offsite": {"restic": str(away), "password": RESTIC_PASSWORD}},
        schedule={"by": "cron", **dict.fromkeys(JOBS, NEVER)},
        **sections,
    )
    for name in KINDS:
        found["monitoring"][name]["enabled"] = True
    del found["monitoring"]["exporters"]["blackbox"]  # the earlier version refuses what it does not know
    return found


@dataclass
class Stack(ABC):
    """The stack, the tool that is installed for it, and what was put into it."""

    project: Project
    link: Path
    cron: Cron
    away: Path
    key: str = ""
    revoked: str = ""
    backup: str = ""
    """The backup that the earlier version made."""
    newer_backup: str = ""
    """The one that this version made."""
    backup_meanwhile: str = ""
    """One of the earlier version after the way back."""
    plan: dict[str, Any] = field(default_factory=dict)
    """What this version's `plan` said before its first `up`."""
    restarted: frozenset[str] = frozenset({"prometheus"})
    """Servers that it begins anew."""
    before: dict[str, Any] = field(default_factory=dict)
    """What the earlier version had put into the stack, and its backup holds; then also what this one did."""
    tool: Tool = field(default_factory=earlier_tool)
    marks: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.project.python = str(self.link / "bin" / "python")
        self.install(self.tool)

    def install(self, tool: Tool) -> None:
        """Put `tool` in the place of the one that is installed."""
        fresh = self.link.with_name("new")
        fresh.symlink_to(tool.venv)
        fresh.replace(self.link)
        self.tool = tool

    def json(self, *words: str, code: int = 0) -> Any:
        """What `techsapo … --json` says."""
        return json.loads(self.project.run(*words, "--json", code=code).stdout)

    @property
    def template(self) -> Path:
        """The template that the user has ejected."""
        return self.project.directory / "templates" / TEMPLATE

    def change(self) -> str:
        """Another line at the end of the user's template, so that Redis alone is restarted; returns it."""
        mark = f"# mark {next(self.marks)} #"
        text = re.sub(r"# mark \d+ #\n", "", self.template.read_text(encoding="utf-8"))
        self.template.write_text(f"{text}{mark}\n", encoding="utf-8")
        return mark

    def kill_an_up(self) -> str:
        """Change the template and kill the `up` that is about it when Redis is done; returns the mark."""
        mark = self.change()
        done = subprocess.run(
            [self.project.python, str(self.tool.fault_point), "services", "up", "--yes"],
            cwd=self.project.directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200,
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
        return mark

    def fill(self) -> None:
        """Use the stack as its users do."""
        run = self.project.run
        run("templates", "eject", TEMPLATE)
        self.change()
        run("up", "--yes", timeout=200)
        self.key = self.json("keys", "create", "kept")["key"]
        self.revoked = self.json("keys", "create", "gone")["key"]
        run("keys", "revoke", "gone")
        self.ask(QUESTION)
        self.redis().mset({f"mine:{n}": n for n in range(50)})
        self.redis().hset("mine:hash", mapping={"b": 1, "a": "値"})
        self.crontab(USERS_CRONTAB)
        self.in_cron("install")
        self.cron_starts("costs")
        self.before = self.contents()
        self.backup = self.json("backup")["id"]

    def ask(self, question: str) -> dict[str, Any]:
        """What the app answers on the command line."""
        self.project.environment["TECHSAPO_API_KEY"] = self.key
        answer: dict[str, Any] = self.json("ask", question)
        return answer

    def statuses(self, key: str | None) -> set[int]:
        """What each instance answers who asks with `key`."""
        headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
        return {
            httpx.post(
                f"{url}/api/v1/generate", json={"prompt": QUESTION}, headers=headers, timeout=60,
                trust_env=False,
            ).status_code
            for url in self.urls().values()
        }  # fmt: skip

    def urls(self) -> dict[str, str]:
        """Address of each instance of the app."""
        instances = self.project.spec["app"]["instances"]
        names = [f"app-{n + 1}" for n in range(len(instances))] if len(instances) > 1 else ["app"]
        return {n: f"http://127.0.0.1:{i['port']}" for n, i in zip(names, instances, strict=True)}

    def versions(self) -> dict[str, str]:
        """What version each instance says it is."""
        return {
            name: httpx.get(f"{url}/health", timeout=60, trust_env=False).json()["version"]
            for name, url in self.urls().items()
        }

    def version(self) -> str:
        """That of the installed tool."""
        return self.project.run("--version").stdout.split()[-1]

    def redis(self) -> redis.Redis:
        host, port = self.address("redis")
        return redis.Redis(host, port, password=REDIS_PASSWORD)

    def sql(self, statement: str, *, migrates: bool = False) -> list[dict[str, Any]]:
        """Rows of the audit database, as the app's own account sees them, or the one that migrates."""
        host, port = self.address("mysql")
        layout = self.project.layout
        password = layout.mysql_migrations_password if migrates else layout.mysql_password
        link = pymysql.connect(
            host=host, port=port, user="techsapo_migrations" if migrates else "techsapo",
            password=password.read_text(), database="techsapo_audit", autocommit=True,
            cursorclass=pymysql.cursors.DictCursor,
        )  # fmt: skip
        with link, link.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def rights(self) -> set[str]:
        """What the app's account may do in the audit database."""
        granted = [next(iter(row.values())) for row in self.sql("SHOW GRANTS")]
        of_database = [text.removeprefix("GRANT ") for text in granted if "techsapo_audit" in text]
        found = {right for text in of_database for right in text.partition(" ON ")[0].split(", ")}
        return {"ALL PRIVILEGES"} if "ALL PRIVILEGES" in found else found

    def contents(self) -> dict[str, Any]:
        """Everything that an upgrade must keep, a value at a time: what a newer version adds is no loss."""
        found: dict[str, Any] = {}
        client = self.redis()
        for name in client.scan_iter(count=1000):
            if client.ttl(name) == -1:
                found[f"redis {name.decode()}"] = client.dump(name)
            elif client.ttl(name) > 1000:  # answers and what was spent; not the limits of a minute
                found[f"redis {name.decode()}"] = "is there"
        for table, keys in TABLES.items():
            for row in self.sql(f"SELECT * FROM {table}"):
                which = " ".join(str(row[key]) for key in keys)
                found |= {f"{table} {which} {column}": value for column, value in row.items()}
        for key in self.json("keys", "list"):
            found |= {f"API key {key['id']} {what}": value for what, value in key.items()}
        for run in self.json("jobs", "history", "costs")["runs"]:
            found |= {f"run {run['id']} of costs {what}": value for what, value in run.items()}
        return found

    def lost(self) -> dict[str, Any]:
        """What of `before` is not there any more, or another."""
        now = self.contents()
        return {what: value for what, value in self.before.items() if now.get(what) != value}

    def in_cron(self, *words: str, code: int = 0) -> str:
        """What `techsapo cron …` says where the crontab is."""
        inside = replace(self.project, launcher=self.cron.enter(self.project.directory))
        done = inside.run("cron", *words, code=code)
        return done.stdout + done.stderr

    def crontab(self, content: str | None = None) -> str:
        """The crontab, or what becomes it."""
        argv = [*self.cron.enter(self.project.directory), "crontab", "-" if content is not None else "-l"]
        done = subprocess.run(argv, input=content, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    def cron_starts(self, job: str) -> None:
        """Run the line of `job` in the crontab as cron does: by sh, in next to no environment."""
        [line] = [line for line in self.crontab().splitlines() if f" jobs run {job} " in line]
        command = line.split(maxsplit=5)[5].replace(r"\%", "%")
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd="/", env={"HOME": "/root", "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def snapshots(self) -> list[dict[str, Any]]:
        """What restic has off-site."""
        done = subprocess.run(
            ["restic", "--no-cache", "-r", str(self.away), "snapshots", "--json"], check=True, text=True,
            env={**os.environ, "RESTIC_PASSWORD": RESTIC_PASSWORD}, capture_output=True,
        )  # fmt: skip
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def builds(self) -> dict[str, str]:
        """What build each instance says it is."""
        return {
            name: httpx.get(f"{url}/health", timeout=60, trust_env=False).json()["build"]
            for name, url in self.urls().items()
        }

    def upgrade(self) -> str:
        """Kill an `up` of the earlier version half way, install this one and bring the stack up by it."""
        mark = self.kill_an_up()
        self.install(this_tool())
        self.plan = self.json("plan", code=100)
        return self.up(mark)

    def go_back(self) -> str:
        """Use the stack by this version, kill its `up` half way, and bring it up by the earlier one again."""
        self.key = self.json("keys", "create", "newer")["key"]
        wait_for(lambda: self.statuses(self.key) == {200}, what="the new key is known")
        self.ask("ディスクがいっぱい")
        self.redis().set("mine:newer", 1)
        self.project.run("jobs", "run", "costs")
        self.before = self.contents()
        self.back_up_by_this_version()
        self.project.run("up", "--yes", timeout=200)  # whatever was gone back to meanwhile
        self.project.run("stop", "alertmanager")
        mark = self.kill_an_up()
        self.install(earlier_tool())
        return self.up(mark)

    def go_forward(self) -> str:
        """Back up by the earlier version, which has come back, and bring the stack up by this one again."""
        self.backup_meanwhile = self.json("backup", "--only", "config")["id"]
        self.before = self.contents()
        mark = self.change()
        self.install(this_tool())
        return self.up(mark)

    def back_up_by_this_version(self) -> None:
        """Once: the same backup does for all that looks at it."""
        self.newer_backup = self.newer_backup or self.json("backup")["id"]

    def up(self, mark: str) -> str:
        """What `up` says, by a tool that was installed just now; see that Redis has `mark` after it."""
        self.remember_what_runs()
        said = self.project.run("up", "--yes", "--verbose", timeout=200).stderr
        assert mark in self.redis_conf()
        return said

    @abstractmethod
    def address(self, service: str) -> tuple[str, int]:
        """Where a database is reached from this host."""

    @abstractmethod
    def redis_conf(self) -> str:
        """The redis.conf that Redis runs with."""

    @abstractmethod
    def remember_what_runs(self) -> None:
        """Note what runs, for `outdated`."""

    @abstractmethod
    def outdated(self) -> list[str]:
        """Instances that run other code than the installed tool's."""
