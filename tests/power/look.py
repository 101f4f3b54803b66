"""Run there, by the tool's own Python, in the project's folder: what is on disk, as JSON."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

STATE = Path(".techsapo")
TOOL = "techsapo"


def said(*argv: str, **variables: str) -> tuple[int, str]:
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, (done.stdout or done.stderr).strip()


def rows() -> tuple[list[str], int]:
    """Request ids in the audit database, and how many rows wait on disk."""
    found: list[str] = []
    for file in STATE.glob("data/*/audit.sqlite"):
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
            found += [row[0] for row in db.execute("SELECT request_id FROM audit_requests")]
    if "\nmysql:" in Path("techsapo.yaml").read_text():
        code, password = said(TOOL, "config", "secrets", "show", "mysql-root")
        if code != 0:
            raise SystemExit(password)
        select = "SELECT request_id FROM techsapo_audit.audit_requests"
        code, text = said("mariadb", "-h127.0.0.1", "-uroot", "-N", "-e", select, MYSQL_PWD=password)
        if code != 0:
            raise SystemExit(text)
        found += text.split()
    waiting = [file.read_text().count("\n") for file in STATE.glob("data/*/audit-spool.jsonl")]
    return found, sum(waiting)


def torn() -> list[str]:
    """Files of ours that are no whole JSON, and what a killed write left beside one."""
    bad = []
    for file in STATE.rglob("*.json"):
        if "data" in file.parts and "app" not in str(file):
            continue
        try:
            json.loads(file.read_text())
        except ValueError:
            bad.append(str(file))
    return bad


def main() -> None:
    found, waiting = rows()
    result: dict[str, Any] = {"rows": found, "waiting": waiting, "torn": torn()}
    asked = {
        "plan": ("plan", "--json"),
        "history": ("changes", "list", "--json", "-n", "100"),
        "chain": ("audit", "verify", "--json"),
        "keys": ("keys", "list", "--json"),
        "backups": ("backup", "list", "--json"),
        "verify": ("backup", "verify", "--json"),
    }
    with ThreadPoolExecutor(2) as two:  # as many as the machine has processors: Python's start is most of it
        for name, (code, text) in zip(
            asked, two.map(lambda argv: said(TOOL, *argv), asked.values()), strict=True
        ):
            result[name] = {"code": code, "said": text[-500_000:]}
    json.dump(result, sys.stdout)


main()
