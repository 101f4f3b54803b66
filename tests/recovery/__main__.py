"""`make recovery-lab`: lose a stack of 50 MB of Redis and a million audit rows, over and over; bring it back.

Needs root, Docker and what `make lab` installs; takes about half an hour. Ends with 1 where a fact is another
after a recovery, something remained to be done, or one took more than five minutes.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from docker_lab import DockerLab, docker_lab
from projects import another_user
from servers import free_port

from tests.recovery.cells import STEPS, Cell, Outcome, empty_folder, raw, recovered
from tests.recovery.hosts import Host, Wire, new_host, old_host, wire
from tests.recovery.places import PLACES, Place
from tests.recovery.report import Report
from tests.recovery.stack import BIG, SMALL, Service, Size, copied_away, lost_stack

STRANGER = 54321
REPOSITORY = Path(__file__).resolve().parents[2]


@contextmanager
def everybodys_python(folder: Path) -> Iterator[str]:
    """This Python with our packages where any user may run it: its own place may be root's alone."""
    shown = folder / "python"
    shown.mkdir(parents=True)
    subprocess.run(["mount", "--bind", sys.base_prefix, str(shown)], check=True)
    try:
        minor = f"python3.{sys.version_info.minor}"
        venv = folder / "venv"
        subprocess.run([shown / "bin" / minor, "-m", "venv", "--without-pip", venv], check=True)
        site = venv / "lib" / minor / "site-packages"
        (site / "lab.pth").write_text(f"{REPOSITORY}\n{sysconfig.get_path('purelib')}\n", encoding="utf-8")
        for path in (folder, *folder.parents):
            if path != Path(tempfile.gettempdir()) and path.is_relative_to(tempfile.gettempdir()):
                path.chmod(path.stat().st_mode | 0o055)
        yield str(venv / "bin/python")
    finally:
        subprocess.run(["umount", str(shown)], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.recovery", description=__doc__)
    parser.add_argument("--small", action="store_true", help="little data, to try the lab itself")
    parser.add_argument("--only", default="", help="cells whose title holds this expression")
    parser.add_argument("--engine", choices=("native", "compose", "both"), default="both")
    parser.add_argument("--to", type=Path, default=Path("dist/recovery"), help="where the report goes")
    asked = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("it makes networks and users' files: run it as root")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what runs, and the bridge, go then too
    size = SMALL if asked.small else BIG
    report = Report(size, f"{platform.machine()}, {os.cpu_count()} processors, {platform.release()}")
    with tempfile.TemporaryDirectory(prefix="techsapo-places-") as name, wire() as on, ExitStack() as parts:
        folder = Path(name)
        places = [parts.enter_context(make(folder / make.__name__, on.address)) for make in PLACES]
        lab = parts.enter_context(docker_lab()) if asked.engine != "native" else None
        if asked.engine != "compose":
            _native(size, folder / "native", places, on, lab, report, asked.only)
        if lab is not None:
            _compose(size, folder / "compose", places, on, lab, report, asked.only)
    report.write(asked.to)
    print(report.markdown())
    return 0 if report.ok else 1


def _native(
    size: Size, folder: Path, places: list[Place], on: Wire, lab: DockerLab | None, report: Report, only: str
) -> None:
    with lost_stack(size, folder, None) as service, ExitStack() as parts:
        ids = copied_away(service, places)
        facts = service.facts()
        report.lost(f"native: {', '.join(ids)}", facts)
        service.wipe()
        _, _, rest = places
        others = tuple(
            word for path in ("app.port", "redis.port", "nginx.listen", "nginx.tls_listen")
            for word in ("--set", f"{path}={free_port()}")
        )  # fmt: skip
        cells = [Cell(f"native, {place.name}", place) for place in places]
        cells.append(Cell("native, REST, other ports", rest, words=others))
        python = parts.enter_context(everybodys_python(folder / "everybody"))
        stranger = another_user(STRANGER)
        cells.append(Cell("native, REST, another user", rest, launcher=stranger, python=python))
        cells += [Cell(f"native, REST, killed in {step}", rest, killed_in=step) for step in STEPS]
        for number, cell in enumerate(cells):
            if re.search(only, cell.title):
                with new_host(on) as host:
                    if cell.launcher:
                        host = host.with_user("recoverer", STRANGER, folder)
                    report.cell(_one(cell, host, facts, service, first=number < len(places)))
                    if number < len(places):
                        report.raw(cell, raw(cell, host, load=not report.raws))
        if lab is not None and re.search(only, title := "native to compose, S3"):
            images = tuple(
                word for kind, image in lab.images.items() for word in ("--set", f"images.{kind}={image}")
            )
            no_grafana = ("--set", "monitoring.grafana.enabled=false", "--without", "grafana")
            with old_host() as host:
                cell = Cell(title, places[0], words=("--engine", "compose", *images, *no_grafana))
                report.cell(_one(cell, host, facts, service))


def _compose(
    size: Size, folder: Path, places: list[Place], on: Wire, lab: DockerLab, report: Report, only: str
) -> None:
    with lost_stack(size, folder, lab) as service:
        ids = copied_away(service, places)
        facts = service.facts()
        report.lost(f"compose: {', '.join(ids)}", facts)
        service.wipe()
        for place in places:
            cell = Cell(f"compose, {place.name}", place)
            if re.search(only, cell.title):
                with old_host() as host:  # the daemon publishes its ports on this machine's network
                    report.cell(_one(cell, host, facts, service))
        cell = Cell("compose to native, REST", places[2], words=("--engine", "native"))
        if re.search(only, cell.title):
            with new_host(on) as host:
                report.cell(_one(cell, host, facts, service))


def _one(cell: Cell, host: Host, facts: dict[str, str], lost: Service, *, first: bool = False) -> Outcome:
    with empty_folder() as folder:
        try:
            outcome, service = recovered(
                cell, host, folder, facts, lost.size, moment=lost.moment, timed_dry=first
            )
        except AssertionError as error:  # the other cells go on
            outcome = Outcome(cell, 0.0, failed=str(error))
            print(f"{cell.title}: {error}", file=sys.stderr, flush=True)
        else:
            service.wipe()
    well = "" if outcome.ok else f"NOT WELL {dict(outcome.differs)} {outcome.remaining}"
    print(f"{cell.title}: {outcome.wall:.1f} s {well}", file=sys.stderr, flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
