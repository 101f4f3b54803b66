"""What is tried on the machine, on the same disk: each cut meets what the ones before have left."""

from __future__ import annotations

import base64
import shlex
import time
from collections.abc import Callable

from tests.lab.card_lines import steps
from tests.vm.alone import alone
from tests.vm.lab import IN, THERE, Known, Lab, Outcome

SMALL = """project: techsapo
app:
  instances:
    - {port: 4000, weight: 2}
    - {port: 4001, weight: 1}
nginx: {tls_listen: 8443}
monitoring:
  prometheus: {enabled: false}
  alertmanager: {enabled: false}
  exporters:
    node: null
    redis: null
    mysqld: null
    nginx: null
certificates:
  techsapo: {source: self-signed, names: [localhost]}
schedule: {by: none}
backup:
  offsite: {restic: /srv/offsite, password_file: secrets/restic}
"""
"""With SQLite and without what watches a stack: without KVM that takes half of the machine."""
WITH_MARIADB = SMALL.replace("nginx:", "mysql: {}\nnginx:", 1)
UP = "techsapo up --yes --timeout 300"
"""Without KVM the app takes more than 40 of the 45 seconds that a service has by default."""
AT_BOOT = (
    """sed 's/ "--yes"$/ "--yes" "--timeout" "300"/' .techsapo/generated/systemd/techsapo.service """
    ">/etc/systemd/system/techsapo.service && grep -q timeout /etc/systemd/system/techsapo.service "
    "&& systemctl daemon-reload && systemctl enable techsapo.service"
)
CHANGED = "sed -i 's/^app:$/app:\\n  limits: {concurrency: 60}/' techsapo.yaml"
BACK = "sed -i '/^  limits: {concurrency: 60}$/d' techsapo.yaml"


def fresh(lab: Lab) -> Outcome:
    """README's first command on a fresh machine, from a clone."""
    outcome = Outcome("fresh machine")
    lab.machine.fresh()
    outcome.figures["login after"] = round(lab.machine.boot(), 1)
    lab.clone()
    began = time.monotonic()
    done = lab.machine.run(IN + "make up", timeout=3600)
    outcome.figures["make up"] = round(time.monotonic() - began, 1)
    outcome.said += done.stdout.strip().splitlines()[-24:]
    outcome.figures["healthy after"] = round(lab.healthy(time.monotonic()), 1)
    asked = lab.machine.run(IN + "techsapo ask Dockerコンテナが起動しない --json", check=False)
    if asked.returncode not in {0, 100} or "request_id" not in asked.stdout:
        outcome.problems.append(
            f"techsapo ask: {asked.returncode} {asked.stdout[-300:]} {asked.stderr[-300:]}"
        )
    return outcome


def small(lab: Lab) -> Outcome:
    """A fresh machine with a small stack, which is kept, switched off, for the others to begin with.

    What README's command does on a clone in /srv that has a spec already, then the lines of docs/running.md.
    """
    outcome = Outcome("small stack on a fresh machine")
    machine = lab.machine
    machine.fresh()
    outcome.figures["login after"] = round(machine.boot(), 1)
    lab.clone()
    machine.run(
        f"mkdir -p {THERE}/secrets; umask 077; head -c 24 /dev/urandom | base64 > {THERE}/secrets/restic"
    )
    machine.run(f"cat > {THERE}/techsapo.yaml", feed=SMALL.encode())
    began = time.monotonic()
    done = machine.run(IN + f"make install && techsapo doctor --fix --quiet; {UP}", timeout=3600)
    outcome.figures["install and up"] = round(time.monotonic() - began, 1)
    outcome.said += done.stdout.strip().splitlines()[-24:]
    machine.run(IN + AT_BOOT)
    machine.off()
    lab.known = Known()
    lab.remember()
    machine.keep(lab.kept)
    return outcome


def booted(lab: Lab) -> Outcome:
    """The lines of docs/running.md, then a boot as one switches a machine off and on."""
    outcome = Outcome("boot")
    lab.machine.run(IN + AT_BOOT)
    outcome.said += lab.machine.run("systemd-analyze security techsapo.service | tail -1").stdout.splitlines()
    lab.machine.off()
    lab.after(outcome)
    unit = lab.machine.run(
        "systemctl is-active techsapo.service; systemctl is-failed '*' | head", check=False
    )
    outcome.figures["techsapo.service"] = unit.stdout.split()[0]
    _failed_units(lab, outcome)
    return outcome


def whole(lab: Lab) -> Outcome:
    """MariaDB, TLS and backups off-site; then a boot.

    What watches a stack is left out from here on: without KVM it takes half of the machine.
    """
    outcome = Outcome("everything")
    machine = lab.machine
    machine.run(
        f"mkdir -p {THERE}/secrets && umask 077 && head -c 24 /dev/urandom | base64 > {THERE}/secrets/restic"
    )
    machine.run(f"cat > {THERE}/techsapo.yaml", feed=WITH_MARIADB.encode())
    began = time.monotonic()
    machine.run(IN + "techsapo doctor --fix --quiet; sync", check=False, timeout=1800)
    outcome.figures["doctor --fix"] = round(time.monotonic() - began, 1)
    began = time.monotonic()
    done = machine.run(IN + UP, timeout=1800)
    outcome.figures["up"] = round(time.monotonic() - began, 1)
    outcome.said += done.stdout.strip().splitlines()[-20:]
    machine.run(IN + AT_BOOT)
    began = time.monotonic()
    done = machine.run(IN + "techsapo backup", timeout=1800)
    outcome.figures["backup"] = round(time.monotonic() - began, 1)
    outcome.said += done.stdout.strip().splitlines()[-8:]
    _know_backups(lab)
    machine.off()
    lab.known.applies = 0
    lab.after(outcome)
    _failed_units(lab, outcome)
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
        lab.machine.run(IN + "techsapo backup", timeout=1800)
        _know_backups(lab)
    noted = "test -e .techsapo/journal/restore.json"
    return lab.cut_off("restore", "techsapo restore --yes", noted, after=2)


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
    outcome = lab.cut_off("restart", "techsapo restart app", "true", after=12)
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


def recover(lab: Lab) -> Outcome:
    """The lines of the recovery card, typed on an empty machine that has the repository's folder alone."""
    outcome = Outcome("recover on an empty machine")
    machine = lab.machine
    machine.run(IN + "techsapo backup", timeout=1800)
    card = machine.run(IN + "techsapo recover card --lang en").stdout
    (lab.reports / "card.txt").write_text(card)
    password = machine.run(f"cat {THERE}/secrets/restic").stdout.strip()
    repository = machine.folder / "offsite.tar"
    repository.write_bytes(
        base64.b64decode(machine.run("tar -C /srv -c offsite | base64", timeout=1800).stdout)
    )
    before = lab.look()["rows"]
    machine.cut()
    machine.fresh()
    outcome.figures["login after"] = round(machine.boot(), 1)
    machine.run("tar -C /srv -x", feed=repository.read_bytes())
    typed = steps(card)
    began = time.monotonic()
    machine.run(f"set -e; cd /root\n{typed[1]}", timeout=2400)
    outcome.figures["packages"] = round(time.monotonic() - began, 1)
    rest = (
        "set -euo pipefail; cd /root\n"
        + typed[2]
        + typed[3]
        + typed[4].replace(" recover ", " recover --yes ")
    )
    done = machine.run(
        f"bash -c {shlex.quote(rest)}", check=False, timeout=3600, feed=f"{password}\n".encode()
    )
    outcome.figures["all lines of the card"] = round(time.monotonic() - began, 1)
    outcome.said += (done.stdout + done.stderr).strip().splitlines()[-30:]
    if done.returncode != 0:
        outcome.problems.append(f"the card's lines: {done.returncode}")
    outcome.figures["healthy after"] = round(lab.healthy(time.monotonic()), 1)
    found = lab.look()
    gone = set(before) - set(found["rows"])
    outcome.figures |= {"rows before": len(before), "rows that did not come back": len(gone)}
    if gone:  # nobody has asked since the backup
        problem = f"{len(gone)} rows did not come back"
        outcome.problems.append(problem)
    if found["torn"] or found["chain"]["code"] != 0:
        outcome.problems.append(f"not whole: {found['torn']} {found['chain']}")
    lab.known = Known()
    return outcome


def _know_backups(lab: Lab) -> None:
    listed = lab.machine.run(IN + "ls .techsapo/backups").stdout.split()
    lab.known.backups |= {name for name in listed if name[:8].isdigit() and "." not in name}


def _failed_units(lab: Lab, outcome: Outcome) -> None:
    failed = lab.machine.run("systemctl list-units --failed --no-legend --plain", check=False).stdout.strip()
    if failed:
        outcome.problems.append(f"units that failed: {failed}")


ALL: tuple[Callable[[Lab], Outcome], ...] = (
    fresh, small, booted, alone, traffic_sqlite, whole,
    traffic_mariadb, up_early, up_late, backup, offsite, restore, certificate, keys, restart, maintenance,
    recover,
)  # fmt: skip
"""In their order; the first makes the machine on which the others are tried."""
