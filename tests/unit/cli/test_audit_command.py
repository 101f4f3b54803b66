"""The record of administration as an operator meets it: what is in it, and what `audit verify` finds."""

from __future__ import annotations

import json
from pathlib import Path

from in_process import techsapo


def test_what_is_done_to_keys_is_recorded_without_the_key_and_a_changed_record_is_found(
    tmp_path: Path,
) -> None:
    (tmp_path / "techsapo.yaml").write_text("project: x\n", encoding="utf-8")
    came = {"SSH_CONNECTION": "203.0.113.7 51234 192.0.2.1 22"}
    made = json.loads(techsapo(tmp_path, "keys", "create", "ci", "--json", env=came).stdout)
    backup = json.loads(techsapo(tmp_path, "backup", "--only", "config", "--json").stdout)
    created, *_ = json.loads(techsapo(tmp_path, "audit", "show", "--json").stdout)
    assert (created["action"], created["outcome"]) == ("keys create", "done")
    assert created["who"]["ssh"] == "203.0.113.7 51234"
    path = tmp_path / ".techsapo" / "administration" / "record.jsonl"
    whole = path.read_text()
    assert made["key"].split("_", 2)[2] not in whole
    assert techsapo(tmp_path, "audit", "verify").returncode == 0
    path.write_text(whole.replace('"name":"ci"', '"name":"ic"', 1))
    assert techsapo(tmp_path, "audit", "verify").returncode == 1
    path.write_text(whole.splitlines(keepends=True)[0])  # cut at the end of a line: the chain itself holds
    cut = techsapo(tmp_path, "audit", "verify", "--json")
    assert cut.returncode == 1
    assert backup["id"] in json.loads(cut.stdout)["problems"][0]
