"""An off-site repository is not in the folder of the backups."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.cli.project import open_project
from techsapo_ops.spec.load import SpecError


def opened(folder: Path, restic: str, path: str | None = None) -> None:
    backup = {"offsite": {"restic": restic, "password": "p"}, **({"path": path} if path else {})}
    spec = folder / "techsapo.yaml"
    spec.write_text(json.dumps({"project": "x", "backup": backup}))
    open_project(spec)


@each_row(
    "restic, path",
    [
        (".techsapo/backups/offsite", None),
        (".techsapo/backups", None),
        ("kept/../kept/copies", "kept"),
        ("local:kept/copies", "kept"),
        ("link/copies", "kept"),
        ("{folder}/kept/copies", "kept"),
    ],
)
def test_inside_it_is_an_error_with_its_place(tmp_path: Path, restic: str, path: str | None) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    with pytest.raises(SpecError, match="is inside the backup folder") as caught:
        opened(tmp_path, restic.format(folder=tmp_path), path)
    (problem,) = caught.value.problems
    assert (problem.path, problem.filename) == ("backup.offsite.restic", str(tmp_path / "techsapo.yaml"))


@each_row("restic", ["/mnt/nas", "copies", "kept-2/copies", "s3:https://s3.example.com/kept/x"])
def test_beside_it_is_none(tmp_path: Path, restic: str) -> None:
    opened(tmp_path, restic, "kept")
