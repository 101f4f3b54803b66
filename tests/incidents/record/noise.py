"""What happens on any machine and has nothing to do with the fault: jobs, warnings, small deploys."""

from __future__ import annotations

import os
import signal
import time
import zlib
from collections.abc import Callable

from tests.incidents.record import certificates
from tests.incidents.record.scenario import Scenario
from tests.incidents.record.world import World

LEAD = 18
"""Seconds from the unrelated change to the fault."""


def _tidy(world: World) -> None:
    folders = "/var/lib/shop/sessions /var/lib/shop/carts"
    world.job("tidy-sessions", f"find {folders} -mmin +60 -delete", user="www-data")


def _report(world: World) -> None:
    script = "import glob; print('counted', len(glob.glob('/var/lib/shop/*/*')), 'files')"
    world.job("count-files", script, user="www-data")


def _aborted(world: World) -> None:
    """A client of the database that leaves without a goodbye, which MariaDB logs."""
    script = (
        "import pymysql, os\n"
        "c = pymysql.connect(host='127.0.0.11', user='watcher', password='watching')\n"
        "print('WARNING: the option --old-format is deprecated', flush=True)\n"
        "os._exit(0)\n"
    )
    world.job("export-catalogue", script)


def begin(world: World) -> None:
    """Run small jobs now and then, until the end."""
    jobs = [_tidy, _report, _aborted]

    def work() -> None:
        for number in range(1000):
            time.sleep(11 + 7 * (number % 3))
            jobs[number % len(jobs)](world)

    world.later(work)


def _deploy(name: str, version: str) -> Callable[[World], None]:
    return lambda world: world.deploy(name, version)


def _nginx_comment(world: World) -> None:
    world.rewrite(
        "/etc/nginx/nginx.conf", {"client_header_timeout 120s": "client_header_timeout 100s"}, "nginx"
    )
    os.kill(world.units["nginx"].pid, signal.SIGHUP)


def _staging_certificate(world: World) -> None:
    certificates.issue("/etc/shop/staging", "staging.shop.example")
    world.change("certificate", "renewed the certificate of staging.shop.example", "staging")


def _feature(world: World) -> None:
    world.event("switched the banner of the autumn sale on", "shop")


def _rotate(world: World) -> None:
    log = "/var/log/nginx/access.log"
    world.job("logrotate", f"mv {log} {log}.1 && kill -USR1 $(cat /run/nginx.pid)", "nginx")


def unrelated(world: World, scenario: Scenario) -> None:
    """Do something harmless shortly before the fault: which, the scenario's name decides."""
    chosen: list[Callable[[World], None]] = [_nginx_comment, _staging_certificate, _feature, _rotate]
    if "reviews" in scenario.runs:
        chosen += [_deploy("reviews", "v12")] * 4
    chosen[zlib.crc32(scenario.name.encode()) % len(chosen)](world)
