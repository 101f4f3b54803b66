"""The directories of one stack; light to import, since `techsapo ps` needs nothing else of a spec."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

OVERRIDES = "template-overrides"
"""Folder beside the spec whose templates come before ours, where the spec names no other one."""
PROOF_FOLDER = "offsite-proof"
"""Where in the state directory a copy from off-site lies while it is looked at."""
SCHEDULER = "scheduler"
"""The program that starts the jobs, where `schedule.by` is service."""
SCHEDULER_STOP_SECONDS = 25
"""How long it may take to end the runs that are under way."""

RECOVERY = "recovery"
"""Folder in the state directory of a recovery that is under way: `techsapo recover`."""
JOURNAL = "journal"
"""Folder in the state directory of work that is under way: see stack/journal.py."""

ACME_ROOT = "acme"
"""Below nginx's data directory: the folder that serves `/.well-known/acme-challenge/`."""

DATA, RUN, LOGS = "data", "run", "logs"
DRILL_FOLDERS = "drill-"
"""How the folder of a scratch stack begins, in the state directory: other users' services reach into it."""
SCRATCH_FOLDER = "scratch"
"""Folder in the state directory of throwaway servers."""
BACKUPS = "backups"
"""Folder in the state directory of the backups, where the spec names no other one."""
RESTIC_CACHE = "restic-cache"
LOCK = "lock"
"""File in the state directory that all lock that change the stack."""
SPEC_SEEN = "spec-seen"
"""Which of the specs applied last this folder has, where the stack is on several machines."""
MACHINES_NOTE = "machines.json"
BUDGET_FOLDER = "budget"
"""Folder beside the app's configuration with what it has to know of budgets, see stack.data_notes."""
EVIDENCE_FOLDER, EVIDENCE_FILE = "evidence", "stack.json"
"""The same with what the app can't see of its stack, see watch/evidence."""
BUILD_NOTE = "build"
"""File in an app instance's data folder: which build its process runs, see adapters.build."""

LONGEST_SOCKET_PATH = 107
"""Bytes of a Unix socket's path, without the closing NUL (`sun_path` in unix(7))."""
_ROOM_FOR_NAME = len("/supervisor.sock") + len(".4194304")
"""What supervisor appends: it binds `NAME.PID` first and links it to its name."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The directories of one stack.

    `config` holds the generated files; the rest is made by the engine below `state`. `spec` and
    `environment` are what a later `techsapo up` of this stack is given, such as the one after a reboot.
    """

    state: Path
    config: Path
    spec: Path | None = None
    environment: str | None = None

    @property
    def spec_file(self) -> Path:
        """The spec's path; by default techsapo.yaml beside the state directory."""
        return self.spec or self.state.parent / "techsapo.yaml"

    @property
    def format_note(self) -> Path:
        """Which format the state directory is in: see stack/state_format.py."""
        return self.state / "format"

    @property
    def machines_note(self) -> Path:
        """Which machines the stack runs on, where those are several; it is not there for one host."""
        return self.state / MACHINES_NOTE

    @property
    def data(self) -> Path:
        """Databases and other data, one folder a service."""
        return self.state / DATA

    @property
    def run(self) -> Path:
        """Pid files, and sockets where its path is short enough for them: see `socket_dir`."""
        return self.state / RUN

    @property
    def scheduler_build(self) -> Path:
        """Which build the scheduler's process runs."""
        return self.run / f"{SCHEDULER}.{BUILD_NOTE}"

    @property
    def socket_dir(self) -> Path:
        """Folder of Unix sockets: `run`, or a short folder below /tmp where `run` is too deep.

        A socket's path may have 107 bytes, which a project folder with a Japanese name soon exceeds. The
        short name is made of the user and a digest of the state directory, so every command finds it again.
        """
        if len(os.fsencode(self.run)) + _ROOM_FOR_NAME <= LONGEST_SOCKET_PATH:
            return self.run
        digest = hashlib.sha256(os.fsencode(self.state)).hexdigest()[:16]
        return Path("/tmp") / f"techsapo-{os.geteuid()}-{digest}"  # noqa: S108 - made 0700 and checked on use

    @property
    def supervisor_socket(self) -> Path:
        """Where the native engine's supervisor is talked to."""
        return self.socket_dir / "supervisor.sock"

    @property
    def logs(self) -> Path:
        """One log file a service."""
        return self.state / LOGS

    @property
    def certs(self) -> Path:
        """One folder a certificate: fullchain.pem and privkey.pem."""
        return self.state / "certs"

    @property
    def acme(self) -> Path:
        """Keys of ACME accounts; no service is given this folder."""
        return self.state / "acme"

    @property
    def keys(self) -> Path:
        """Secrets that the tool made itself, such as the database password."""
        return self.state / "keys"

    @property
    def backup_keys(self) -> Path:
        """The key of the backups' manifests; not in `keys`, which is removed with the data."""
        return self.state / "backup-keys"

    @property
    def journal(self) -> Path:
        """What work that is under way has come to, one file each: see stack/journal.py."""
        return self.state / JOURNAL

    @property
    def backup_checks(self) -> Path:
        """What was found out about each backup, where nobody who may write the backups' folder can."""
        return self.state / "backup-checks"

    @property
    def administration(self) -> Path:
        """The record of who did what to the stack, and the key of its MACs; it stays without the data."""
        return self.state / "administration"

    @property
    def api_keys(self) -> Path:
        """Digests of the API keys; in a folder of its own, which a container can be given."""
        return self.state / "api-keys" / "keys.json"

    @property
    def mysql_password(self) -> Path:
        """The audit database's password, where the spec has none: made at the first start."""
        return self.keys / "mysql-password"

    @property
    def mysql_migrations_password(self) -> Path:
        """The password of the account that makes and alters the audit tables; no service is given it."""
        return self.keys / "mysql-migrations-password"

    @property
    def mysql_root_password(self) -> Path:
        """The password of MariaDB's root, where that one logs in by a password."""
        return self.keys / "mysql-root-password"

    @property
    def mysql_init(self) -> Path:
        """SQL that MariaDB runs at each start: the database, its user and its password."""
        return self.keys / "mysql-init.sql"

    @property
    def app_key(self) -> Path:
        """The key that the app's instances share and no other service has: what they keep is sealed by it."""
        return self.keys / "app-key"

    @property
    def data_note(self) -> Path:
        """Which services have data, see stack.data_notes."""
        return self.state / "data.json"

    @property
    def budget_note(self) -> Path:
        """What the app has to know of budgets, see stack.data_notes."""
        return self.state / "budget.json"

    @property
    def secrets(self) -> Path:
        """Rendered copies of the spec's secrets, one file each, readable by their service alone."""
        return self.config / "secrets"

    @property
    def textfiles(self) -> Path:
        """Metrics of jobs, read by node exporter's textfile collector."""
        return self.state / "textfile"

    @property
    def drills(self) -> Path:
        """Reports of drills, and what one under way has made."""
        return self.state / "drills"

    @property
    def jobs(self) -> Path:
        """One folder a job: its lock, and a record and a log for each run."""
        return self.state / "jobs"
