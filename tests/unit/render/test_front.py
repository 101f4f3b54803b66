"""The front of several machines: keepalived's files, and nginx as it runs on each of them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

from rows import each_row
from stacks import EVERYTHING, THREE_INSTANCES, rendered, spec, topology, with_alerts

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.services.keepalived.kind import RUN, check_timeout
from techsapo_ops.stack.desired import RenderedFile


def hosts(count: int = 3) -> dict[str, dict[str, str]]:
    names = enumerate("abcde"[:count], 1)
    return {name: {"address": f"10.0.0.{n}", "docker": f"ssh://ops@{name}"} for n, name in names}


HERE = Path("/opt/stack")


def files(count: int = 3, **sections: Any) -> dict[str, RenderedFile]:
    wanted = spec(
        **{
            "engine": "swarm", "hosts": hosts(count), "floating_address": "10.0.0.100/24", "mysql": {},
            "nginx": {"listen": 80, "tls_listen": 443}, "app": THREE_INSTANCES,
            "monitoring": with_alerts(), **sections,
        }
    )  # fmt: skip
    return rendered(wanted, topology(wanted, HERE, "swarm"))


def services(**sections: Any) -> dict[str, Any]:
    found: dict[str, Any] = read_yaml(files(**sections)["swarm/stack.yml"].content)
    return found["services"]  # type: ignore[no-any-return]


def value(conf: str, word: str) -> str:
    (found,) = re.findall(rf"^ *{word} (.+)$", conf, re.MULTILINE)
    return str(found)


def test_each_machine_has_a_keepalived_with_the_rights_to_move_an_address_and_no_others() -> None:
    found = {name: entry for name, entry in services().items() if name.startswith("keepalived")}
    assert sorted(found) == ["keepalived-a", "keepalived-b", "keepalived-c"]
    for entry in found.values():
        assert entry["cap_drop"] == ["ALL"]
        assert entry["cap_add"] == ["NET_ADMIN", "NET_BROADCAST", "NET_RAW", "SETGID"]
        assert entry["networks"] == {"machine": {}}
        assert "ports" not in entry


def test_without_an_address_to_move_or_on_one_host_there_is_none() -> None:
    assert not [name for name in services(floating_address=None) if "keepalived" in name]
    wanted = spec(**EVERYTHING)
    one = rendered(wanted, topology(wanted, HERE))
    assert not [path for path in one if "keepalived" in path or path.endswith("start.sh")]


def test_a_keepalived_that_is_stopped_is_not_well_whatever_it_said_last(tmp_path: Path) -> None:
    script = files()["swarm/config/keepalived/ready.sh"].content.replace(RUN, str(tmp_path))

    def ready() -> tuple[int, bytes]:
        done = subprocess.run(["sh", "-c", script], capture_output=True, check=False)
        return done.returncode, done.stdout

    (tmp_path / "state").write_text("MASTER\n")
    assert ready()[0] != 0
    with subprocess.Popen(["sleep", "600"]) as worker:
        try:
            (tmp_path / "vrrp.pid").write_text(f"{worker.pid}\n")
            assert ready() == (0, b"MASTER\n")
            worker.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, worker.pid, os.WSTOPPED)
            assert ready() == (1, b"")
        finally:
            worker.kill()
    assert ready()[0] != 0


def test_scripts_can_be_run_and_changed_by_nobody() -> None:
    ours = ("swarm/config/keepalived/", "swarm/config/nginx/")
    scripts = {p: f.mode for p, f in files().items() if p.startswith(ours) and p.endswith(".sh")}
    assert len(scripts) == 2 + 3 * 2 + 1
    assert set(scripts.values()) == {0o555}


@each_row("count", [3, 5])
def test_machines_listen_to_each_other_alone_and_no_two_have_a_priority(count: int) -> None:
    found = files(count)
    confs = {
        name: found[f"swarm/config/keepalived/on-{name}/keepalived.conf"].content for name in hosts(count)
    }
    addresses = {name: host["address"] for name, host in hosts(count).items()}
    for name, conf in confs.items():
        assert value(conf, "unicast_src_ip") == addresses[name]
        peers = re.findall(r"^ +(\S+) min_ttl 255 max_ttl 255$", conf, re.MULTILINE)
        assert peers == [address for other, address in addresses.items() if other != name]
        assert "10.0.0.100/24 dev @INTERFACE@" in conf
    priorities = [int(value(conf, "priority")) for conf in confs.values()]
    assert priorities == sorted(set(priorities), reverse=True)
    assert (priorities[0], priorities[-1]) == (200, 100)


def test_the_check_is_given_the_time_of_all_that_it_asks() -> None:
    for count in (3, 5):
        check = files(count)["swarm/config/keepalived/on-a/check.sh"].content
        (nginx,) = re.findall(r"--max-time (\S+)", check)
        (peers,) = re.findall(r"for peer in (.+); do", check)
        (each,) = re.findall(r"timeout (\S+) bash", check)
        assert float(nginx) + float(each) * len(peers.split()) < check_timeout(count)
        assert "'http://10.0.0.1:80/nginx-front'" in check


SIGN_IN = {"address": "http://{}:4180", "secret": "a secret of thirty-two letters or more"}


@each_row("sign_in, dns", [(None, ["127.0.0.1"]), ("10.0.0.9", ["127.0.0.1"]), ("oauth2-proxy", None)])
def test_nobody_outside_is_asked_for_the_names_of_instances_that_do_not_run(
    sign_in: str | None, dns: list[str] | None
) -> None:
    app: dict[str, Any] = {**THREE_INSTANCES}
    if sign_in is not None:
        app["auth"] = {"sign_in": {**SIGN_IN, "address": SIGN_IN["address"].format(sign_in)}}
    assert services(app=app)["nginx-a"].get("dns") == dns


def test_the_app_believes_nginx_by_the_name_that_is_there_as_long_as_any_machine_is() -> None:
    app = read_yaml(files()["swarm/config/app/techsapo.yaml"].content)
    assert app["app"]["auth"]["proxies"] == ["nginx"]


def test_a_file_with_a_secret_in_it_is_a_secret_that_its_service_alone_reads() -> None:
    app = {**THREE_INSTANCES, "auth": {"sign_in": {**SIGN_IN, "address": "http://10.0.0.9:4180"}}}
    nginx = services(app=app)["nginx-b"]
    target = "/etc/techsapo/nginx/sign-in.conf"
    assert target not in {config["target"] for config in nginx["configs"]}
    (secret,) = (secret for secret in nginx["secrets"] if secret["target"] == target)
    assert (secret["uid"], secret["mode"]) == ("101", 0o400)
