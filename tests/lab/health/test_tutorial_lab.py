"""docs/tutorial.md, typed from first to last on a fresh Debian, with stand-ins for what is outside.

It is typed on a terminal, in Japanese, which the machine does not have.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import outside
import pytest
from docker_lab import DockerLab, docker, wheel_folder
from servers import binary, wait_for
from terminal import Screen

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[3]
DEBIAN = "techsapo-lab/debian"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OURS = r"""
set -eEuo pipefail
export DEBIAN_FRONTEND=noninteractive SOURCE=/outside/source.bundle
techsapo() { command techsapo "$@" || [ $? = 100 ]; }  # `plan` tells of changes by 100
trap 'echo "@@ failed: $BASH_COMMAND" >&2' ERR
"""
"""What a test needs around the commands of the page."""


def blocks(page: str) -> list[str]:
    """What a page tells to type, in its order."""
    return _BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))


def with_values(text: str) -> str:
    """The reader's own values in the place of the examples."""
    for name, value in outside.VALUES.items():
        text = re.sub(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
    text = re.sub(r"https://hooks\.slack\.com/\S+(?=')", outside.SLACK, text)
    return re.sub(r"https://hc-ping\.com/\S+(?=')", outside.WATCHER, text)


def test_both_languages_tell_to_type_the_same() -> None:
    assert blocks("tutorial.md") == blocks("tutorial.ja.md")
    assert len(blocks("tutorial.md")) > 12


def test_every_value_of_the_page_is_replaced() -> None:
    text = "".join(map(with_values, blocks("tutorial.md")))
    assert not re.search(
        r"your-|T00000000/B00000000/X{24}'(?! >)|elsewhere\.example\.com", text.replace(outside.SLACK, "")
    )
    for value in (*outside.VALUES.values(), outside.SLACK, outside.WATCHER):
        assert value in text


@contextmanager
def container(*options: str) -> Iterator[str]:
    """A fresh Debian that does nothing; its name."""
    name = f"techsapo-tutorial-{uuid.uuid4().hex[:8]}"
    docker("run", "--detach", "--name", name, "--init", *options, DEBIAN, "sleep", "infinity")
    try:
        yield name
    finally:
        docker("rm", "--force", "--volumes", name, check=False)


def look(name: str, form: str) -> str:
    """A value that Docker knows of a container."""
    return docker("inspect", "--format", form, name).stdout.strip()


@contextmanager
def machine(folder: Path) -> Iterator[str]:
    """A fresh Debian, whose names lead to the stand-ins of what is outside; its name."""
    address = "{{.NetworkSettings.IPAddress}}"
    bundle = ["git", "bundle", "create", "-q", str(folder / "source.bundle"), "HEAD"]
    subprocess.run(bundle, cwd=ROOT, check=True)
    with container() as elsewhere:
        hosts = {host: look(elsewhere, address) for host in outside.HOSTS}
        hosts[outside.VALUES["SITE"]] = "127.0.0.1"
        with (
            container(
                "--hostname", "ops",
                # As root on a machine of its own has: to look at other users' processes.
                "--cap-add", "SYS_PTRACE",
                *(f"--add-host={host}:{address}" for host, address in hosts.items()),
                "--volume", f"{folder}:/outside:ro", "--volume", f"{wheel_folder()}:/wheels:ro",
                "--env", "PIP_NO_INDEX=1", "--env", "PIP_FIND_LINKS=/wheels",
            ) as name,
            beside(elsewhere, folder, look(name, address)),
        ):  # fmt: skip
            yield name


@contextmanager
def beside(elsewhere: str, folder: Path, address: str) -> Iterator[None]:
    """The stand-ins, in the network of the container `elsewhere`, for the machine with this address."""
    network = f"--net=/proc/{look(elsewhere, '{{.State.Pid}}')}/ns/net"
    with (folder / "outside.log").open("wb") as log:
        process = subprocess.Popen(
            [binary("nsenter"), network, sys.executable, outside.__file__, str(folder), address],
            stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests/lab'}"},
        )  # fmt: skip
    try:

        def ready() -> bool:
            assert process.poll() is None, (folder / "outside.log").read_text()[-3000:]
            return (folder / "ready").exists()

        wait_for(ready, timeout=120, what="what is outside")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def trusted(name: str) -> None:
    """Let the machine trust the stand-ins as it would the real ones, and note what systemd is told.

    As in Debian's own image dpkg does not sync each file to the disk, nor unpack what nobody reads here.
    """
    script = """
    printf '%s\\n' force-unsafe-io 'path-exclude /usr/share/doc/*' 'path-exclude /usr/share/man/*' \\
      > /etc/dpkg/dpkg.cfg.d/lab
    mkdir -p /usr/local/share/ca-certificates
    cd /usr/local/share/ca-certificates
    awk -v n=0 '/BEGIN/{n++} {print > "outside-" n ".crt"}' /outside/ca.pem /outside/issuer.pem
    printf '#!/bin/sh\\necho "systemctl $*" >> /root/systemctl.log\\n' > /usr/local/bin/systemctl
    chmod +x /usr/local/bin/systemctl
    """
    docker("exec", name, "sh", "-euc", script)


def walked(name: str, folder: Path) -> None:
    """Type all of the page on a terminal of 80 columns, and answer what is asked there."""
    text = "".join(
        f"echo '@@ {n}'\n{with_values(block)}" for n, block in enumerate(blocks("tutorial.ja.md"), 1)
    )
    (folder / "typed.sh").write_text(
        OURS + text.replace("techsapo up --yes", "techsapo up"), encoding="utf-8"
    )
    environment = (
        "LANG=ja_JP.UTF-8", "TERM=xterm-256color", "REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt",
    )  # fmt: skip
    options = [word for each in environment for word in ("--env", each)]
    argv = [binary("docker"), "exec", "-it", *options, name, "bash", "/outside/typed.sh"]
    with Screen(argv, size=(40, 80)) as shown:
        try:
            shown.shows("進めますか", seconds=700)
            shown.type("y\n")
            code = shown.ends(700)
        finally:
            (folder / "typed.log").write_bytes(shown.whole)
    said = shown.whole.decode(errors="replace")
    assert code == 0, said[-6000:]
    for word in ("シミュレーション", "稼働中", "発生中", "オフサイトから取り出せ", "変更はありません"):
        assert word in said, word


@pytest.mark.nightly
@pytest.mark.timeout(1500)
def test_its_commands_lead_from_an_empty_machine_to_production(lab_images: DockerLab, tmp_path: Path) -> None:
    with machine(tmp_path) as name:
        trusted(name)
        walked(name, tmp_path)

        def inside(command: str) -> str:
            return docker("exec", "--workdir", "/srv/techsapo", name, "bash", "-c", command).stdout

        health = json.loads(inside("techsapo health --json"))
        assert health["status"] == "healthy", health
        card = inside("cat /root/recovery-card.txt")
        assert "/srv/elsewhere" in card
        assert inside("cat secrets/restic").strip() not in card
        assert "techsapo" in inside("crontab -l")
        assert "enable techsapo.service" in inside("cat /root/systemctl.log")
        url = f"https://{outside.VALUES['SITE']}/help?lang=en"
        read = f"import urllib.request as u; print(u.urlopen({url!r}).read().decode())"
        assert "TechSapo" in inside(f"python3 -c {shlex.quote(read)}")
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["refused"] == []
    assert any("AppDown" in title for title in told["messages"]), told
    assert min(told["asked"].values()) > 2
