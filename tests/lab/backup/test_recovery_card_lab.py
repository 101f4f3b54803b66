"""The commands of the recovery card, run as they stand there, on what is away from the host alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pymysql
import pytest
from backup_lab import Root
from card_lines import steps
from projects import only_redis, project
from servers import free_port

pytestmark = pytest.mark.lab

PASSWORD = 'of the "repository" \\ with `all` $kinds'


def test_its_commands_bring_the_stack_back_on_an_empty_host(tmp_path: Path) -> None:
    place = tmp_path / "away 別の所's"
    offsite = {"restic": str(place), "password": PASSWORD, "password_kept": "safe in room 3"}
    spec = only_redis(backup={"offsite": offsite}, contacts=["Kimura"], mysql={"port": free_port()})
    with project(spec) as made:
        made.run("up")
        with Root(made) as sql:
            sql.execute("CREATE USER 'reporting'@'%' IDENTIFIED BY 'a password'")
            sql.execute("GRANT SELECT ON techsapo_audit.* TO 'reporting'@'%'")
        made.run("backup")
        card = made.run("recover", "card", "--lang", "en").stdout
        made.run("down", "--volumes", "--yes")
        shutil.rmtree(made.directory)

        # As on a bare machine, but that installing is only watched, and root's folders are others.
        stubs = tmp_path / "bin"
        stubs.mkdir()
        for name in ("apt-get", "systemctl", "useradd"):
            (stubs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/installed\n')
            (stubs / name).chmod(0o755)
        bare = tmp_path / "bare"
        bare.mkdir()
        script = ["set -euo pipefail"]
        typed = steps(card)
        assert sorted(typed) == [1, 2, 3, 4]
        for number in sorted(typed):
            text = typed[number].replace("/root/kit", f"{bare}/kit").replace("/opt/techsapo", f"{bare}/venv")
            text = text.replace("/usr/local/bin", str(bare))
            script.append(text.replace("/usr/sbin/policy-rc.d", f"{bare}/policy-rc.d"))
        assert "RESTIC_PASSWORD: ' RESTIC_PASSWORD" in typed[2]
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RESTIC", "AWS", "PYTHON", "TECHSAPO")) and name != "VIRTUAL_ENV"
        }
        environment |= {"PATH": f"{stubs}:{os.environ['PATH']}", "HOME": str(bare)}
        done = subprocess.run(
            ["bash", "-c", "\n".join(script).replace(" recover ", " recover --yes ")],
            cwd=bare, env=environment, input=PASSWORD + "\n", capture_output=True, text=True, timeout=600,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        assert PASSWORD not in done.stdout + done.stderr
        installed = (tmp_path / "installed").read_text()
        assert "restic python3-venv" in installed
        assert "mariadb-server" in installed
        assert not (bare / "policy-rc.d").exists()
        made.well()
        # The operator's own account came back with its password.
        port = made.spec["mysql"]["port"]
        account = {"user": "reporting", "password": "a password", "database": "techsapo_audit"}
        pymysql.connect(host="127.0.0.1", port=port, **account).close()
