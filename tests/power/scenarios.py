"""What is tried on the machine, on the same disk: each cut meets what the ones before have left."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.power.alone import alone
from tests.power.lab import IN, THERE, Known, Lab, Outcome

WITH_SQLITE = """project: techsapo
app:
  instances:
    - {port: 4000, weight: 2}
    - {port: 4001, weight: 1}
nginx: {tls_listen: 8443}
certificates:
  techsapo: {source: self-signed, names: [localhost]}
schedule: {by: none}
backup:
  offsite: {restic: /srv/offsite, password_file: secrets/restic}
"""
WITH_MARIADB = WITH_SQLITE.replace("nginx:", "mysql: {}\nnginx:", 1)
UP = "techsapo up --yes"
AT_BOOT = (
    "cp .techsapo/generated/systemd/techsapo.service /etc/systemd/system/ "
    "&& systemctl daemon-reload && systemctl enable techsapo.service"
)
CHANGED = "sed -i 's/^app:$/app:\\n  limits: {concurrency: 60}/' techsapo.yaml"
BACK = "sed -i '/^  limits: {concurrency: 60}$/d' techsapo.yaml"


def installed(lab: Lab) -> Outcome:
    """A fresh machine with a stack, which is kept, switched off, for the others to begin with.

    What README's command does on a clone in /srv that has a spec already, then the lines of docs/running.md.
    """
    outcome = Outcome("a stack on a fresh machine")
    machine = lab.machine
    outcome.figures["boot"] = round(machine.boot(), 1)
    lab.clone()
    secret = "mkdir -p secrets; umask 077; head -c 24 /dev/urandom | base64 > secrets/restic"
    machine.run(IN + secret)
    machine.run(f"cat > {THERE}/techsapo.yaml", feed=WITH_MARIADB.encode())  # with MariaDB's packages
    began = time.monotonic()
    install = "make install && techsapo doctor --fix --quiet; sync"
    machine.run(IN + install, check=False, network=True, timeout=900)
    outcome.figures["make install and doctor --fix"] = round(time.monotonic() - began, 1)
    machine.run(f"cat > {THERE}/techsapo.yaml", feed=WITH_SQLITE.encode())
    began = time.monotonic()
    done = machine.run(IN + UP)
    outcome.figures["up"] = round(time.monotonic() - began, 1)
    outcome.said += done.stdout.strip().splitlines()[-24:]
    machine.run(IN + AT_BOOT)
    machine.off()
    lab.known = Known()
    lab.keep()
    lab.after(outcome)
    unit = machine.run("systemctl is-active techsapo.service", check=False).stdout.strip()
    outcome.figures["techsapo.service"] = unit
    _failed_units(lab, outcome)
    return outcome


def mariadb(lab: Lab) -> Outcome:
    """The audit log moves to MariaDB, and a backup is off-site; then a boot."""
    outcome = Outcome("MariaDB")
    machine = lab.machine
    machine.run(f"cat > {THERE}/techsapo.yaml", feed=WITH_MARIADB.encode())
    began = time.monotonic()
    done = machine.run(IN + UP)
    outcome.figures["up"] = round(time.monotonic() - began, 1)
    outcome.said += done.stdout.strip().splitlines()[-20:]
    machine.run(IN + AT_BOOT)
    began = time.monotonic()
    done = machine.run(IN + "techsapo backup")
    outcome.figures["backup"] = round(time.monotonic() - began, 1)
    outcome.said += done.stdout.strip().splitlines()[-8:]
    _know_backups(lab)
    machine.off()
    lab.known.applies = 0
    lab.after(outcome)
    _failed_units(lab, outcome)
    return outcome


def unflushed(lab: Lab) -> Outcome:
    """What the lab itself promises: a cut loses a file that nobody flushed, and not the flushed one."""
    outcome = Outcome("the disk")
    lab.machine.run("echo flushed > /srv/flushed; sync -f /srv/flushed; echo not > /srv/unflushed")
    lab.machine.cut()
    lab.after(outcome)
    there = lab.machine.run("cd /srv; ls flushed unflushed; cat flushed", check=False).stdout.split()
    if there != ["flushed", "flushed"]:
        outcome.problems.append(f"after the cut there is {there}")
    return outcome


def traffic_sqlite(lab: Lab) -> Outcome:
    """The power is cut while questions are answered; the audit log is SQLite."""
    return lab.cut_off("traffic with SQLite", None, "true", after=6)


def traffic_mariadb(lab: Lab) -> Outcome:
    """The same with MariaDB."""
    return lab.cut_off("traffic with MariaDB", None, "true", after=6)


def up_early(lab: Lab) -> Outcome:
    """`up` has noted what it is about to do."""
    lab.machine.run(IN + CHANGED)
    outcome = lab.cut_off("up early", UP, "test -e .techsapo/journal/apply.json")
    lab.finish(outcome, UP)
    return outcome


def up_late(lab: Lab) -> Outcome:
    """`up` has restarted the first instances and not the last."""
    lab.machine.run(IN + BACK)
    noted = "grep -qs '\"app-[12]\"' .techsapo/journal/apply.json"
    outcome = lab.cut_off("up late", UP, noted, after=1)
    lab.finish(outcome, UP)
    return outcome


def backup(lab: Lab) -> Outcome:
    """A backup is half written."""
    outcome = lab.cut_off(
        "backup", "techsapo backup", "ls -d .techsapo/backups/*.partial >/dev/null 2>&1", after=1.5
    )
    lab.finish(outcome, "techsapo backup")
    _know_backups(lab)
    return outcome


def offsite(lab: Lab) -> Outcome:
    """restic copies a backup to the other place."""
    outcome = lab.cut_off(
        "off-site copy", "techsapo backup", "pgrep -f '[r]estic.* backup ' >/dev/null", after=1
    )
    lab.finish(outcome, "techsapo backup")
    _know_backups(lab)
    return outcome


def restore(lab: Lab) -> Outcome:
    """A restore has begun to replace the data: the boot's `up` goes back, and every row is there again."""
    if not lab.known.backups:
        lab.machine.run(IN + "techsapo backup")
        _know_backups(lab)
    noted = "test -e .techsapo/journal/restore.json"
    return lab.cut_off("restore", "techsapo restore --yes", noted)


def certificate(lab: Lab) -> Outcome:
    """A new certificate has just been put where nginx reads it."""
    live = ".techsapo/certs/techsapo/live"
    before = lab.machine.run(IN + f"readlink {live}").stdout.strip()
    swapped = f'test "$(readlink {live})" != {before}'
    outcome = lab.cut_off("certificate deploy", "techsapo certs renew techsapo --force", swapped)
    lab.finish(outcome, "techsapo certs deploy")
    status = lab.machine.run(IN + "techsapo certs status", check=False)
    if status.returncode != 0:
        outcome.problems.append(f"certs status: {status.stdout} {status.stderr}")
    return outcome


def keys(lab: Lab) -> Outcome:
    """Keys are made one after the other; those that were shown must open the API ever after."""
    loop = "bash -c 'for n in $(seq 40); do techsapo keys create key-$n >/dev/null && echo MADE key-$n; done'"
    outcome = lab.cut_off(
        "keys",
        loop,
        "grep -qs key-3 .techsapo/keys/api/keys.json .techsapo/api-keys.json .techsapo/*/*keys*.json",
        after=1,
    )
    outcome.figures["keys that were shown"] = len(lab.known.keys)
    return outcome


def restart(lab: Lab) -> Outcome:
    """One instance after the other is started anew."""
    outcome = lab.cut_off("restart", "techsapo restart app", "true", after=3)
    lab.finish(outcome, UP)
    return outcome


def maintenance(lab: Lab) -> Outcome:
    """`maintenance on` has just said so: users are turned away after the boot too, until `off`."""
    status = "techsapo maintenance status --json"
    page = (
        'python3 -c \'import ssl, urllib.request as u; u.urlopen("https://127.0.0.1:8443/", '
        "context=ssl._create_unverified_context())'"
    )
    on = "sh -c 'techsapo maintenance on --message moving && : > /run/on'"
    outcome = lab.cut_off("maintenance", on, "test -e /run/on")
    said = lab.machine.run(IN + status, check=False).stdout
    asked = lab.machine.run(page, check=False).stderr
    outcome.said += [said.strip()[:300], asked.strip()[-100:]]
    if "moving" not in said or "503" not in asked:
        outcome.problems.append(f"maintenance is forgotten: {said} {asked[-300:]}")
    lab.finish(outcome, "techsapo maintenance off")
    if "503" in (asked := lab.machine.run(page, check=False).stderr):
        outcome.problems.append(f"users are not let in again: {asked[-300:]}")
    return outcome


def _know_backups(lab: Lab) -> None:
    listed = lab.machine.run(IN + "ls .techsapo/backups").stdout.split()
    lab.known.backups |= {name for name in listed if name[:8].isdigit() and "." not in name}


def _failed_units(lab: Lab, outcome: Outcome) -> None:
    failed = lab.machine.run("systemctl list-units --failed --no-legend --plain", check=False).stdout.strip()
    if failed:
        outcome.problems.append(f"units that failed: {failed}")


ALL: tuple[Callable[[Lab], Outcome], ...] = (
    installed, unflushed, alone, traffic_sqlite, mariadb, traffic_mariadb, up_early, up_late, backup, offsite,
    restore, certificate, keys, restart, maintenance,
)  # fmt: skip
"""In their order; the first makes the machine on which the others are tried."""
