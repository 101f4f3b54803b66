"""Whatever a name is one of: one that there is not is a wrong use, and the error says what there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from in_process import techsapo
from rows import each_row

SPEC = """\
project: techsapo
schedule: {by: none}
monitoring: {exporters: {node: null}}
certificates: {web: {source: self-signed, names: [shop.example]}}
environments: {staging: {locale: en}}
"""
TYPOS = {
    "plan appp": "did you mean app?",
    "up appp": "did you mean app?",
    "plan -e stagign": "did you mean staging?",
    "validate -e stagign": "did you mean staging?",
    "config explain app.prt": "did you mean port?",
    "config explain app.port.x": "app.port has no keys below it",
    "jobs run drfit": "did you mean drift?",
    "jobs history drfit": "did you mean drift?",
    "jobs log drfit": "did you mean drift?",
    "jobs log drift 9": "`techsapo jobs history drift` lists the job's runs",
    "backup --only confg": "did you mean config?",
    "backup show 2019": "`techsapo backup list` shows all backups",
    "backup verify 2019": "`techsapo backup list` shows all backups",
    "backup accept 2019": "`techsapo backup list` shows all backups",
    "restore 2019": "`techsapo backup list` shows all backups",
    "restore --only confg": "did you mean config?",
    "drill show 2019": "`techsapo drill restore` creates a report",
    "certs issue wbe": "did you mean web?",
    "certs renew wbe": "did you mean web?",
    "certs deploy wbe": "did you mean web?",
    "certs status wbe": "did you mean web?",
    "certs revoke wbe": "did you mean web?",
    "certs revoke web --reason superseeded": "did you mean superseded?",
    "alerts silence AppDwn --comment x": "did you mean AppDown?",
    "alerts ack AppDwn": "did you mean AppDown?",
    "alerts test AppDwn": "did you mean AppDown?",
    "alerts runbook AppDwn": "did you mean AppDown?",
    "keys rotate c1": " (ci)",
    "keys revoke c1": " (ci)",
    "providers test gtp": "known: sim-a, sim-b, sim-c",
    "config templates eject nginx/ngnix.conf.j2": "did you mean nginx/nginx.conf.j2?",
    "config templates diff nginx/ngnix.conf.j2": "did you mean nginx/nginx.conf.j2?",
    "config secrets show app-kye": "did you mean app-key?",
    "changes diff @9": "nothing was applied yet",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has a backup, a key and a certificate, and of which nothing runs."""
    made = tmp_path_factory.mktemp("typos")
    (made / "techsapo.yaml").write_text(SPEC)
    for words in (("keys", "create", "ci"), ("backup", "--only", "config", "--json")):
        done = techsapo(made, *words, env={"PATH": ""})
        assert done.returncode == 0, done.stderr
    return made


@each_row("words, hint", TYPOS.items(), ids=TYPOS)
def test_a_name_that_there_is_not_ends_with_2_and_a_hint(folder: Path, words: str, hint: str) -> None:
    done = techsapo(folder, *words.split(), env={"PATH": ""})
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert hint in done.stderr


def test_that_there_is_none_yet_of_what_nobody_named_is_no_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "techsapo.yaml").write_text(SPEC)
    for words in ("backup verify", "restore", "drill show", "jobs log drift"):
        assert techsapo(tmp_path, *words.split(), env={"PATH": ""}).returncode == 1, words
