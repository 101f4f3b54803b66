"""What lies in volumes of a stack in containers: samples, Grafana's database, the log of a gone instance."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from docker_lab import DockerLab, container_ids, docker, docker_project, left_over
from projects import Project, small_spec
from servers import free_port, wait_for

from techsapo_ops.adapters.process import Command
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.project import open_project
from techsapo_ops.services.grafana.backup import database as grafana_database
from techsapo_ops.services.prometheus.client import api as prometheus_api
from techsapo_ops.stack.data_note import MARK

pytestmark = pytest.mark.lab

PROJECT = f"lab-restore-{os.getpid()}"
PASSWORD = "restic's own"
STAND_IN = r"""FROM {base}
USER 0
RUN install -d -o 472 -g 472 /var/lib/grafana && printf '%s\n' \
  'pid /tmp/pid; error_log /dev/stderr; daemon off; events {{}} http {{ access_log off;' \
  'client_body_temp_path /tmp/1; proxy_temp_path /tmp/2; fastcgi_temp_path /tmp/3; uwsgi_temp_path /tmp/4;' \
  'scgi_temp_path /tmp/5; server {{ listen 3000; default_type text/plain; return 200; }} }}' \
  > /etc/nginx/grafana.conf
USER 472
CMD ["nginx", "-c", "/etc/nginx/grafana.conf"]
"""
"""An image that answers Grafana's probe and holds no Python, as Grafana's own, which can't be had here."""


@pytest.fixture(scope="module")
def lab(lab_images: DockerLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    base = lab_images.images["nginx"]
    grafana = base.replace("/nginx:", "/grafana:")
    docker("build", "--quiet", "--tag", grafana, "-", input=STAND_IN.format(base=base))
    away = tmp_path_factory.mktemp("away") / "遠く"
    spec = small_spec(
        project=PROJECT,
        images={"grafana": grafana},
        backup={"prometheus": True, "offsite": {"restic": str(away), "password": PASSWORD}},
    )
    spec["monitoring"]["prometheus"]["scrape_interval"] = "1s"
    spec["monitoring"]["alertmanager"]["enabled"] = False
    spec["monitoring"]["grafana"] = {"port": free_port()}
    with docker_project(lab_images, spec, "資料 stack") as made:
        made.run("up", "--yes", timeout=200)
        yield made


def logins(made: Project, statement: str = "") -> list[str]:
    """Users in Grafana's database after `statement`, by an SQLite in a container beside its volume."""
    stack = open_stack(open_project(made.directory / "techsapo.yaml"))
    script = (
        "import json, sqlite3, sys\n"
        "with sqlite3.connect('grafana.db') as sql:\n"
        "    sql.executescript(sys.argv[1])\n"
        "    print(json.dumps([row[0] for row in sql.execute('SELECT login FROM user ORDER BY id')]))\n"
    )
    command = grafana_database(stack).door.enter(Command(("python", "-c", script, statement)))
    done = stack.runner.run(command, timeout=60)
    assert done.code == 0, done.output
    found: list[str] = json.loads(done.stdout)
    return found


def files(service: str) -> list[str]:
    """What lies in the data folder of a service, but for our mark."""
    folder = {"prometheus": "/prometheus", "grafana": "/var/lib/grafana"}[service]
    listed = docker("exec", container_ids(PROJECT)[service], "ls", "-A", folder).stdout.split()
    return [name for name in listed if name != MARK]


def test_a_restore_of_samples_that_is_killed_is_taken_back_by_the_next_one(lab: Project) -> None:
    api = prometheus_api(open_stack(open_project(lab.directory / "techsapo.yaml")))

    def scrapes() -> float:
        return sum(sample.value for sample in api.query("sum(count_over_time(up[1d]))"))

    wait_for(lambda: scrapes() > 5, what="some scrapes")
    kept = json.loads(lab.run("backup", "--only", "prometheus", "--json").stdout)["id"]
    earlier = scrapes()
    wait_for(lambda: scrapes() > earlier + 3, what="samples that the backup has not")
    before = scrapes()
    process = lab.popen("restore", kept, "--only", "prometheus", "--yes")
    wait_for((lab.state / "restore.json").exists, timeout=60, what="the data is being replaced")
    process.kill()
    process.communicate()
    assert "a restore was interrupted" in lab.run("backup", code=1).stderr
    said = lab.run("restore", kept, "--only", "prometheus", code=1).stderr
    assert "going back to what was there before" in said
    assert scrapes() >= before
    assert [name for name in files("prometheus") if name.startswith((".before", ".restoring"))] == []
    lab.well()


def test_grafanas_database_goes_off_site_out_of_its_volume_and_comes_back_by_name(lab: Project) -> None:
    assert "Grafana has no database yet" in lab.run("backup", "--only", "grafana", code=1).stderr
    users = "CREATE TABLE user (id INTEGER PRIMARY KEY, login TEXT); INSERT INTO user (login) VALUES ('one');"
    assert logins(lab, users) == ["one"]
    kept = json.loads(lab.run("backup", "--only", "config", "--json").stdout)["id"]
    assert logins(lab, "INSERT INTO user (login) VALUES ('two');") == ["one", "two"]
    container = container_ids(PROJECT)["grafana"]
    done = lab.run("restore", kept, "--only", "grafana", "--yes", "--json")
    assert logins(lab) == ["one"]
    assert files("grafana") == ["grafana.db"]
    owner = docker("exec", container, "stat", "-c", "%u %a", "/var/lib/grafana/grafana.db").stdout
    assert owner.split() == ["472", "600"]
    assert container_ids(PROJECT)["grafana"] == container

    lab.run("restore", json.loads(done.stdout)["safety"], "--only", "grafana", "--yes")
    assert logins(lab) == ["one", "two"]
    assert files("grafana") == ["grafana.db"]
    assert [path for path in lab.state.iterdir() if path.name.startswith("offsite")] == []


def test_the_log_of_an_instance_that_was_scaled_away_is_read_backed_up_and_comes_back(lab: Project) -> None:
    def requests() -> int:
        return int(json.loads(lab.run("costs", "--json").stdout)["requests"])

    lab.run("ask", "Dockerコンテナが起動しない", "--json")
    wait_for(lambda: requests() == 1, what="the question in the audit log")
    lab.write(
        app={"drain": "0s", "instances": [{"port": free_port()}, {"port": free_port()}]},
        nginx={**lab.spec["nginx"], "enabled": False},
    )
    lab.run("up", "--yes", timeout=200)
    assert {"app-1", "app-2"} < set(container_ids(PROJECT))
    assert requests() == 1
    made = json.loads(lab.run("backup", "--only", "sqlite", "--json").stdout)
    assert "sqlite:app" in {part["kind"] for part in made["parts"]}
    docker("volume", "rm", f"{PROJECT}_app")
    assert requests() == 0
    done = json.loads(lab.run("restore", made["id"], "--only", "sqlite", "--yes", "--json").stdout)
    assert "sqlite:app" in done["seconds"]
    assert requests() == 1
    assert f"{PROJECT}_app" in left_over("volume", PROJECT), "`down --volumes` finds it"
