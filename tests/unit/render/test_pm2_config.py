from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from stacks import HOSTILE_FOLDER, spec, templates, topology

from techsapo_ops.render.host import instance_script, pm2_files
from techsapo_ops.services.registry import programs
from techsapo_ops.stack.desired import Program


def ecosystem(directory: Path, **sections: Any) -> dict[str, Any]:
    wanted = spec(**sections)
    (file,) = pm2_files(topology(wanted, directory), templates())
    _, _, value = file.content.partition("module.exports = ")
    (app,) = json.loads(value.strip().removesuffix(";"))["apps"]
    found: dict[str, Any] = app
    return found


def test_one_instance_is_started_as_it_is_under_a_hostile_folder_too(tmp_path: Path) -> None:
    wanted = spec()
    where = topology(wanted, tmp_path / HOSTILE_FOLDER)
    app = ecosystem(tmp_path / HOSTILE_FOLDER)
    (program,) = [p for p in programs(where) if p.service == "app"]
    assert app["name"] == "techsapo"
    assert (app["script"], *app["args"]) == program.argv
    assert app["out_file"] == str(where.layout.logs / "pm2" / "techsapo.log")


def test_each_number_becomes_its_own_instance(tmp_path: Path) -> None:
    words = [["/bin/echo", "first", HOSTILE_FOLDER], ["/bin/echo", "second", "'", "a b"]]
    script = instance_script([Program("app", tuple(argv), tmp_path) for argv in words])

    def run(number: int) -> tuple[int, str]:
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            env={"NODE_APP_INSTANCE": str(number), "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    assert run(0) == (0, f"first {HOSTILE_FOLDER}\n")
    assert run(1) == (0, "second ' a b\n")
    assert run(2) == (1, "")
