"""One instance alone, without the stack: what a cut leaves of its rows."""

from __future__ import annotations

import json
import time

from tests.power.lab import IN, Lab, Outcome
from tests.power.traffic import asking

PORT = 4010
ANSWERS = 40
_SPEC = "project: alone\nredis: {enabled: false}\n"
_LOOK = """
import json, pathlib, sqlite3
data = pathlib.Path("/srv/alone/data")
database = sqlite3.connect(data / "audit.sqlite")
rows = [row[0] for row in database.execute("select request_id from audit_requests")]
spool = data / "audit-spool.jsonl"
lines = spool.read_text().splitlines() if spool.exists() else []
print(json.dumps([rows, [json.loads(line)["request_id"] for line in lines]]))
"""


def alone(lab: Lab) -> Outcome:
    """No answer is without its row."""
    outcome = Outcome("one instance alone")
    machine = lab.machine
    machine.run("systemctl disable --now techsapo.service", check=False)
    machine.run("rm -rf /srv/alone; mkdir -p /srv/alone/data")
    machine.run("cat > /srv/alone/techsapo.yaml; sync", feed=_SPEC.encode())
    serve = f"serve --file /srv/alone/techsapo.yaml --port {PORT} --data /srv/alone/data"
    machine.begin(f"{IN}.venv/bin/python -m techsapo_ops {serve}", lab.reports / "alone.log")
    while machine.run(f"bash -c '</dev/tcp/127.0.0.1/{PORT}'", check=False).returncode != 0:
        time.sleep(0.5)
    with machine.reached(PORT) as port, asking(port, 4) as traffic:
        while len(traffic.answered) < ANSWERS:
            time.sleep(0.2)
        machine.cut()
        traffic.stop()
    outcome.figures |= machine.lost
    outcome.figures["boot"] = round(machine.boot(), 1)
    rows, waiting = json.loads(machine.run("python3 -", feed=_LOOK.encode()).stdout)
    missing = [each for each in traffic.answered if each not in {*rows, *waiting}]
    outcome.figures["answers"] = len(traffic.answered)
    outcome.figures["rows"] = f"{len(rows)} in the database, {len(waiting)} waiting on disk"
    outcome.figures["without a row"] = len(missing)
    if missing:
        outcome.problems.append("answers without a row")
    machine.run("systemctl enable --now techsapo.service", check=False)
    return outcome
