from __future__ import annotations

import stat
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters.textfile import Sample, read_textfile, write_textfile
from techsapo_ops.errors import OpsError

HOSTILE = ['"', "\\", "a\nb", 'a"} 1\nevil 2', "日本語", "#", "{{ }}", "\x00", " ", ""]


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    samples = (
        Sample("techsapo_job_last_run_timestamp_seconds", 1764000000.5),
        Sample("techsapo_job_last_exit_code", 0.0),
        Sample("techsapo_costs_usd", 0.25, {"provider": "gpt"}),
        Sample("techsapo_costs_usd", 0.5, {"provider": "gemini"}),
    )
    write_textfile(tmp_path / "textfile", "costs", samples)
    assert read_textfile(tmp_path / "textfile", "costs") == samples


@each_row("value", HOSTILE)
def test_a_hostile_label_value_stays_one_value(value: str, tmp_path: Path) -> None:
    sample = Sample("techsapo_costs_usd", 1.0, {"provider": value})
    path = write_textfile(tmp_path, "costs", [sample])
    assert read_textfile(tmp_path, "costs") == (sample,)
    lines = path.read_text(encoding="utf-8").split("\n")
    assert [line.partition(" ")[0] for line in lines if line.startswith("#")] == ["#", "#"]
    assert len([line for line in lines if line]) == 3


def test_a_file_is_replaced_as_a_whole_and_readable_by_the_collectors_user(tmp_path: Path) -> None:
    folder = tmp_path / "textfile"
    write_textfile(folder, "costs", [Sample("techsapo_costs_requests", 1)])
    path = write_textfile(folder, "costs", [Sample("techsapo_job_last_exit_code", 0)])
    assert "requests" not in path.read_text(encoding="utf-8")
    assert [p.name for p in folder.iterdir()] == ["costs.prom"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


@each_row("name", ["", "../x", "a b", "A", ".x", "a" * 64])
def test_what_is_no_name_of_a_job_gets_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="not a valid job name"):
        write_textfile(tmp_path, name, [])
    assert list(tmp_path.iterdir()) == []


def test_a_metric_or_label_that_the_catalogue_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match=r"job_metrics\.yaml"):
        write_textfile(tmp_path, "costs", [Sample("techsapo_unheard_of", 1)])
    with pytest.raises(OpsError, match="has the labels name, provider"):
        write_textfile(tmp_path, "costs", [Sample("techsapo_costs_usd", 1)])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_text_of_prometheus_is_named(tmp_path: Path) -> None:
    (tmp_path / "costs.prom").write_text("techsapo_x{ 1 2 3", encoding="utf-8")
    with pytest.raises(OpsError, match=r"costs\.prom is not in Prometheus's text format"):
        read_textfile(tmp_path, "costs")
