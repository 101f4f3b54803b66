from __future__ import annotations

import re
from pathlib import Path

import pytest
from stacks import spec, templates, topology

from techsapo_ops.errors import OpsError
from techsapo_ops.render.host import log_files, logrotate_files


def config(directory: Path, **logs: object) -> str:
    wanted = spec(logs=logs)
    (file,) = logrotate_files(topology(wanted, directory), templates())
    return file.content


def test_size_number_and_compression_are_the_specs_for_our_logs_and_pm2s(tmp_path: Path) -> None:
    text = config(tmp_path, max_size="20M", keep=3, compress=False)
    assert re.findall(r"size (\d+)", text) == [str(20 * 1024**2)] * 2
    assert re.findall(r"rotate (\d+)", text) == ["3", "3"]
    assert text.count("nocompress") == 2
    assert f'"{tmp_path}/.techsapo/logs/*.log"' in text
    assert f'"{tmp_path}/.techsapo/logs/pm2/*.log"' in text


def test_a_folders_own_wildcards_are_taken_literally() -> None:
    assert log_files(Path("/srv/a*[b]?"), "*.log") == '"/srv/a\\*\\[b\\]\\?/*.log"'


def test_a_line_break_in_a_folder_is_refused() -> None:
    with pytest.raises(OpsError, match="control character"):
        log_files(Path("/srv/a\n/etc {"), "*.log")
