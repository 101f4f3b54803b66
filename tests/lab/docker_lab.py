"""A Docker daemon and stand-in images for the lab; both outlive a test run, so that the next is quick.

Everything is kept below one cache folder outside the repository (TECHSAPO_LAB_CACHE, by default
~/.cache/techsapo-lab). No image is pulled: the base comes from debootstrap, the rest from Debian's packages.
Mirrors and package indexes are the host's own, found when the images are built.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from projects import Project, only_redis
from servers import binary, free_port, wait_for

from techsapo_ops.engines.native import processes
from tests.own_debian import apt_as_here, first_mirror

IMAGES = Path(__file__).parent / "images"
LOCK = Path(__file__).parents[2] / ".ci/requirements.lock"
SUITE = "trixie"
PYTHON = "3.13"
KINDS = (
    "prometheus", "alertmanager", "redis", "mysql", "nginx",
    "node-exporter", "redis-exporter", "mysqld-exporter", "nginx-exporter", "blackbox-exporter",
)  # fmt: skip
_PLATFORMS = ("manylinux_2_28_{0}", "manylinux_2_17_{0}", "manylinux2014_{0}", "linux_{0}", "any")


def cache() -> Path:
    """The folder that outlives test runs."""
    return Path(os.environ.get("TECHSAPO_LAB_CACHE") or Path.home() / ".cache" / "techsapo-lab")


@dataclass(frozen=True)
class DockerLab:
    """A daemon that answers and the images that the stack is given through `images:`."""

    images: Mapping[str, str]
    seconds: Mapping[str, float]
    """How long each part of the preparation took; 0 where the cache had it."""


def docker(*arguments: str, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
    """Run docker to its end and return what it said."""
    done = subprocess.run(
        [binary("docker"), *arguments], capture_output=True, text=True, check=False, **options
    )
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done


def answers() -> bool:
    """Whether a daemon answers at the usual place."""
    return docker("version", "--format", "{{.Server.Version}}", check=False).returncode == 0


@contextlib.contextmanager
def daemon(at_end: Callable[[], None] = lambda: None) -> Iterator[None]:
    """A daemon for the length of the block: the one that is there, else one of our own.

    Workers and runs of the tests at the same time share it, and the last one does `at_end` and ends it; also
    what a killed run left.
    """
    home = cache()
    home.mkdir(parents=True, exist_ok=True)
    with (home / "dockerd.users").open("w") as users:
        with _alone(home):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not answers():
                _start_daemon(home)
        try:
            yield
        finally:
            with _alone(home), contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                at_end()
                _end_daemon(home)


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    with (home / "dockerd.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start_daemon(home: Path) -> None:
    _end_daemon(home)  # one that does not answer
    with (home / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(
            [
                binary("dockerd"), "--data-root", str(home / "docker"), "--exec-root", str(home / "exec"),
                "--pidfile", str(home / "dockerd.pid"), "--log-level", "warn",
            ],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def ready() -> bool:
        said = (home / "dockerd.log").read_text(errors="replace")[-3000:]
        assert process.poll() is None, f"dockerd ended with {process.returncode}:\n{said}"
        return answers()

    wait_for(ready, timeout=60, what="dockerd")


def _end_daemon(home: Path) -> None:
    """End the daemon that a run of the tests has started, by its pid; nothing where it is someone else's."""
    try:
        process = psutil.Process(int((home / "dockerd.pid").read_text()))
        ours = str(home / "docker") in process.cmdline()
    except (OSError, ValueError, psutil.NoSuchProcess):
        return
    if not ours:
        return
    process.terminate()
    # Another worker may be its parent, and leave it a zombie until the end of the run.
    for left in processes.wait_ended([process], 40):
        left.kill()
        assert processes.wait_ended([left], 10) == [], "dockerd survives a kill"


@contextlib.contextmanager
def docker_lab() -> Iterator[DockerLab]:
    """A daemon and all stand-in images, made now where the cache does not have them."""
    cache().mkdir(parents=True, exist_ok=True)
    tag = image_tag()
    with daemon(lambda: _forget_old_images(tag)), (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        seconds: dict[str, float] = {}
        images = {kind: f"techsapo-lab/{kind}:{tag}" for kind in KINDS} | {
            "base": f"techsapo-lab/python:{tag}"
        }
        missing = [image for image in images.values() if not present(image)]
        if missing:
            seconds["debootstrap"] = _timed(_base)
            seconds["wheels"] = _timed(_wheels)
            seconds["build"] = _timed(lambda: build(tag))
        _build_app(images)
        fcntl.flock(lock, fcntl.LOCK_UN)
        yield DockerLab(images, seconds)


def _build_app(images: Mapping[str, str]) -> None:
    """Build what `up` would: two workers that build the same name at the same time take it from another."""
    spec = only_redis(project=f"lab-build-{os.getpid()}")
    with docker_project(DockerLab(images, {}), spec) as made:
        made.run("config", "generate")
        file = str(made.state / "generated/docker/production/docker-compose.prod.yml")
        names = docker("compose", "-f", file, "config", "--images").stdout.split()
        if not all(present(name) for name in names):
            docker("compose", "-f", file, "build", "--quiet")


def _forget_old_images(tag: str) -> None:
    """Remove what earlier states of the repository left in the cache: stand-ins, app images, build steps."""
    listed = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    old = [i for i in listed if i.startswith("techsapo-lab/") and not i.endswith((f":{tag}", ":latest"))]
    apps = [image for image in listed if image.startswith("techsapo/app:")]  # listed with the newest first
    old += apps[1:]
    if old:
        docker("image", "rm", *old, check=False)
    docker("builder", "prune", "--force", "--keep-storage", "3GB", check=False)


@contextlib.contextmanager
def docker_project(lab: DockerLab, spec: dict[str, Any], name: str = "project") -> Iterator[Project]:
    """A project of the compose engine on the stand-in images; nothing of it is left in Docker at the end."""
    top = Path(tempfile.mkdtemp(prefix="techsapo-docker-"))
    directory = top / name
    directory.mkdir()
    made = Project(
        directory, {"engine": "compose", **spec, "images": {**lab.images, **spec.get("images", {})}}
    )
    try:
        yield made
    finally:
        for kind in ("container", "network", "volume"):
            if left := left_over(kind, spec["project"]):
                docker(kind, "rm", "--force", *left, check=False)
        shutil.rmtree(top)


def left_over(kind: str, project: str) -> list[str]:
    """Names of the containers, networks or volumes that a compose project has now."""
    every = ["--all"] if kind == "container" else []
    label = f"label=com.docker.compose.project={project}"
    form = "{{.Names}}" if kind == "container" else "{{.Name}}"
    return docker(kind, "ls", *every, "--filter", label, "--format", form).stdout.split()


def container_ids(project: str) -> dict[str, str]:
    """Container id by service."""
    label = f"label=com.docker.compose.project={project}"
    form = '{{.Label "com.docker.compose.service"}} {{.ID}}'
    lines = docker("ps", "--all", "--no-trunc", "--filter", label, "--format", form).stdout.splitlines()
    return dict(sorted(line.split() for line in lines))


def full_spec(project: str, **sections: Any) -> dict[str, Any]:
    """Every service that has a stand-in, on free ports: three instances, both databases, five exporters."""
    weights: list[dict[str, Any]] = [{"weight": 3}, {"weight": 2}, {"weight": 1, "backup": True}]
    return {
        "project": project,
        "app": {"drain": "0s", "instances": [{"port": free_port(), **w} for w in weights]},
        "redis": {"port": free_port()},
        "mysql": {"port": free_port()},
        "nginx": {"listen": free_port(), "tls_listen": free_port()},
        "monitoring": {
            "prometheus": {"port": free_port(), "scrape_interval": "1s"},
            "alertmanager": {"port": free_port(), "group_wait": "1s"},
            "grafana": {"enabled": False},
            "exporters": {name: free_port() for name in ("node", "redis", "mysqld", "nginx", "blackbox")},
        },
        **sections,
    }


def _timed(work: object) -> float:
    started = time.monotonic()
    assert callable(work)
    work()
    return time.monotonic() - started


def present(image: str) -> bool:
    """Whether the daemon has it."""
    return docker("image", "inspect", image, check=False).returncode == 0


def image_tag() -> str:
    """Digest of all that the images are made of."""
    content = hashlib.sha256(f"{SUITE} {PYTHON} {os.uname().machine}".encode())
    for path in sorted(IMAGES.iterdir()):
        content.update(path.name.encode() + path.read_bytes())
    content.update(LOCK.name.encode() + LOCK.read_bytes())
    return content.hexdigest()[:12]


def _base() -> None:
    """techsapo-lab/debian: what debootstrap makes, with the host's own mirrors."""
    image = "techsapo-lab/debian"
    if present(image):
        return
    root = cache() / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    # In memory: dpkg syncs every file to the disk, which is most of the time otherwise.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "techsapo-lab", str(root)], check=True)
    try:
        _bootstrap(root, image)
    finally:
        subprocess.run(["umount", str(root)], check=True)
        root.rmdir()


def _bootstrap(root: Path, image: str) -> None:
    log = cache() / "debootstrap.log"
    with log.open("wb") as output:
        done = subprocess.run(
            [binary("debootstrap"), "--variant=minbase", SUITE, str(root), *first_mirror()],
            stdout=output, stderr=output, check=False,
        )  # fmt: skip
    assert done.returncode == 0, log.read_text(errors="replace")[-2000:]
    apt_as_here(root)
    packed = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
    docker("import", "-", image, stdin=packed.stdout)
    assert packed.wait() == 0


def _wheels() -> None:
    """The app's wheels for the image's Python, fetched with the host's pip and its configuration."""
    folder = wheel_folder()
    if (folder / "complete").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    platforms = [f"--platform={p.format(os.uname().machine)}" for p in _PLATFORMS]
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
            "--only-binary=:all:", "-r", str(LOCK), "-d", str(folder),
            "--python-version", PYTHON,
            "--implementation=cp", f"--abi=cp{PYTHON.replace('.', '')}", "--abi=abi3", "--abi=none",
            *platforms,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (folder / "complete").touch()


def wheel_folder() -> Path:
    return cache() / f"wheels-{PYTHON}-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"


def build(tag: str, *profiles: str) -> None:
    """Make the stand-ins of images/compose.yaml, and those of `profiles`, which other labs need besides."""
    environment = {**os.environ, "LAB_TAG": tag, "LAB_WHEELS": str(wheel_folder())}
    asked = [word for profile in profiles for word in ("--profile", profile)]
    docker("compose", "-f", str(IMAGES / "compose.yaml"), *asked, "build", "--quiet", env=environment)
