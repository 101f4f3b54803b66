"""rsyslog's configuration as text; a real rsyslogd reads it in tests/lab/engines/test_syslog_lab.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rows import each_row
from stacks import HOSTILE_FOLDER, rendered, spec, topology, with_alerts

from techsapo_ops.render.host import quoted, watched

SYSLOG = "udp://logs.example.com:6514"


def of(directory: Path, **sections: Any) -> dict[str, str]:
    wanted = spec(**sections, monitoring=with_alerts())
    found = rendered(wanted, topology(wanted, directory))
    return {path: file.content for path, file in found.items()}


def test_what_has_a_meaning_to_rsyslog_in_a_folder_stands_for_any_character() -> None:
    assert watched('/srv/a b/[x]*"y"$z\\/app.log') == "/srv/a b/?x???y??z?/app.log"
    assert watched(f"/srv/{HOSTILE_FOLDER}/app.log").count('"') == 0
    assert quoted('a"b$c\\d') == '"a\\"b\\$c\\\\d"'


@each_row("folder, told", [("/home/me/x", True), ("/root", True), ("/srv/home", False)])
def test_a_folder_that_debians_unit_hides_from_rsyslog_is_told_of(folder: str, told: bool) -> None:
    files = of(Path(folder), logs={"syslog": SYSLOG})
    for path in ("rsyslog/techsapo.conf", "docker/rsyslog/techsapo.conf"):
        assert ("ProtectHome=read-only" in files[path]) is told
