from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stacks import EVERYTHING, HOSTILE_FOLDER, spec, topology

from techsapo_ops.render.pm2 import pm2_files
from techsapo_ops.render.programs import programs
from techsapo_ops.render.templates import Templates


def ecosystem(directory: Path, **sections: Any) -> list[dict[str, Any]]:
    wanted = spec(**sections)
    (file,) = pm2_files(wanted, topology(wanted, directory), Templates())
    _, _, value = file.content.partition("module.exports = ")
    apps: list[dict[str, Any]] = json.loads(value.strip().removesuffix(";"))["apps"]
    return apps


def test_every_instance_is_named_techsapo_so_that_the_guides_commands_mean_all(tmp_path: Path) -> None:
    apps = ecosystem(tmp_path, **EVERYTHING)
    assert [app["name"] for app in apps] == ["techsapo"] * 3
    assert [app["args"][app["args"].index("--port") + 1] for app in apps] == ["4000", "4001", "4002"]


def test_a_hostile_project_folder_survives(tmp_path: Path) -> None:
    wanted = spec()
    where = topology(wanted, tmp_path / HOSTILE_FOLDER)
    (app,) = ecosystem(tmp_path / HOSTILE_FOLDER)
    (program,) = [p for p in programs(wanted, where) if p.service == "app"]
    assert (app["script"], *app["args"]) == program.argv
    assert app["out_file"] == str(where.layout.logs / "pm2" / "app.log")
