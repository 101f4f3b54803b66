"""`techsapo recover card`: one page in both languages, without a secret, that says when it is out of date."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.cells import cell_len as width
from rows import each_row
from typer.testing import CliRunner

from techsapo_ops.backup.card.facts import card_of
from techsapo_ops.backup.card.page import COLUMNS, LINES, commands
from techsapo_ops.cli.main import app
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.project import open_project
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.doctor.checks import look_at_card

SECRETS = ("s3cret-password", "s3cret-of-s3", "s3cret-in-the-address", "rest-of-it")
PLACES = (
    "s3:https://s3.example.com/backups/of/shop",
    "sftp:backup@storage.example.com:/techsapo",
    "rest:https://me:s3cret-in-the-address@rest-of-it@rest.example.com/me/" + "long-" * 40,
    "/mnt/away/shop's own",
)
SERVERS = (
    "redis-server", "mariadbd", "nginx", "prometheus", "prometheus-alertmanager", "prometheus-node-exporter",
    "prometheus-redis-exporter", "prometheus-mysqld-exporter", "prometheus-blackbox-exporter",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of a project, which is the working directory, on a host that has the servers."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in SERVERS:
        (programs / name).touch(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, place: str = PLACES[0], **more: Any) -> None:
    offsite = {"restic": place, "password": SECRETS[0], **more.pop("offsite", {})}
    spec = {"project": "shop", "backup": {"offsite": offsite}, "mysql": {}, **more}
    (folder / "techsapo.yaml").write_text(yaml.safe_dump(spec, allow_unicode=True))


def card(*words: str) -> str:
    done = CliRunner().invoke(app, ["recover", "card", *words])
    assert done.exit_code == 0, done.output
    return done.stdout


def stack_in(folder: Path) -> Stack:
    return open_stack(open_project(folder / "techsapo.yaml"))


@each_row("locale", ["ja", "en"])
@each_row("place", PLACES)
def test_it_fits_one_page_whatever_the_spec_holds(locale: str, place: str, folder: Path) -> None:
    names = [f"{'long-' * 8}{number}.example.com" for number in range(30)]
    write(
        folder, place, contacts=[f"当番 {n} " + "+81 3 1234 5678 " * 4 for n in range(9)],
        offsite={"password_kept": "3 号室の金庫。" * 8, "options": {"sftp.args": "-i /root/.ssh/backup key"}},
        certificates={"site": {"names": names, "source": "self-signed"}},
        nginx={"enabled": True, "host": "0.0.0.0"},
    )  # fmt: skip
    lines = card("--lang", locale).splitlines()
    assert len(lines) <= LINES
    assert [line for line in lines if width(line) > COLUMNS] == []
    told = "\n".join(lines)
    assert "8080, 8443" in told.replace("、", ", ")
    assert names[0] in told
    assert "--into" in told


def test_no_secret_is_on_it_and_what_is_missing_is_said(folder: Path) -> None:
    login = {"environment": {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRETS[1]}}
    write(folder, PLACES[0], offsite=login)
    done = CliRunner().invoke(app, ["recover", "card"])
    assert "AWS_SECRET_ACCESS_KEY" in done.stdout
    written = done.output + (folder / ".techsapo/recovery-card.json").read_text()
    assert [secret for secret in SECRETS if secret in written] == []
    said = done.stderr
    assert "backup.offsite.password_kept" in said
    assert "set contacts" in said
    assert "techsapo backup verify --offsite" in said
    write(folder, PLACES[2])
    assert [secret for secret in SECRETS if secret in card()] == []


def test_the_account_at_a_server_over_ssh_is_on_it_but_no_password(folder: Path) -> None:
    place = "sftp://backup:s3cret-in-the-address@rest-of-it@storage.example.com:2222//srv/techsapo"
    write(folder, place)
    told = card("--lang", "en")
    assert "sftp://backup@storage.example.com:2222//srv/techsapo" in told
    assert [secret for secret in SECRETS if secret in told] == []
    assert "SSH to backup@storage.example.com, port 2222" in " ".join(told.split())
    assert "apt-get install -y restic python3-venv openssh-client" in told
    write(folder, PLACES[1])
    assert "SSH to backup@storage.example.com:" in " ".join(card("--lang", "en").split())
    write(folder, PLACES[0])
    assert "openssh-client" not in card()


@each_row("length", [60, 61, 200])
def test_a_long_repository_is_put_together_as_it_is(length: int, folder: Path) -> None:
    place = "s3:https://s3.example.com/".ljust(length, "a")
    write(folder, place)
    typed = "\n".join([*commands(card_of(stack_in(folder)))["logins"], 'printf %s "$RESTIC_REPOSITORY"'])
    done = subprocess.run(
        ["bash", "-uc", typed],
        capture_output=True, text=True, input="x\n" * 9, check=True,
    )  # fmt: skip
    assert done.stdout == place


def test_no_name_of_a_package_is_broken_and_no_name_of_this_machine_is_moved(folder: Path) -> None:
    certificate = {"names": ["shop.example.com", "localhost"], "source": "self-signed"}
    write(folder, certificates={"site": certificate}, nginx={"enabled": True, "certificate": "site"})
    told = card_of(stack_in(folder))
    lines = [line for line in commands(told)["packages"] if line.startswith("P=")]
    assert len(lines) > 1
    words = {word for line in lines for word in re.sub(r"^P=(\$\{P\})?|'", "", line).split()}
    assert words <= set(told.packages)
    assert list(told.names) == ["shop.example.com"]


def test_doctor_says_that_it_is_out_of_date_and_by_what(folder: Path) -> None:
    def found() -> list[tuple[str, str]]:
        return [(str(finding.level), finding.detail) for finding in look_at_card(stack_in(folder))]

    write(folder)
    assert [detail for _, detail in found()] == ["the recovery card has not been printed yet"]
    card()
    assert found() == []
    write(folder, PLACES[1], contacts=["Kimura"])
    ((level, detail),) = found()
    assert level == "warning"
    assert detail.endswith(
        "is out of date; changed since: repository, logins, secret logins, packages, contacts"
    )
    card()
    assert found() == []
    (folder / ".techsapo/recovery-card.json").write_text("{")
    assert [detail for _, detail in found()] == ["the recovery card has not been printed yet"]


@each_row("locale", ["ja", "en"])
def test_of_several_hosts_each_is_on_it_and_one_page_is_enough(locale: str, folder: Path) -> None:
    hosts = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abcde", 1)}
    write(folder, engine="swarm", hosts=hosts)
    said = card("--lang", locale)
    for name, host in hosts.items():
        assert f"{name} ({host['address']})" in " ".join(said.split())
    assert len(said.splitlines()) <= LINES
    assert "docker.io" in said
