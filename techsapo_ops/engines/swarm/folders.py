"""Folders of the state directory that services read on their machines, in volumes written from here."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from techsapo_ops.adapters.container_facts import STACK
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.json_files import write_json
from techsapo_ops.adapters.process import Command
from techsapo_ops.engines.swarm.deployment import Folder
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.topology import Topology

NOTE = "folders.json"
"""In the state directory: digest of what was written last, by machine."""
_SECONDS = 120.0
# Each volume is brought to what comes on stdin; a name is replaced at once, so that nobody reads half a file.
_WRITE = """
import os, sys, tarfile
there = set()
with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as given:
    for entry in given:
        path = "/to/" + entry.name
        there.add(path)
        if entry.isdir():
            os.makedirs(path, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path + ".techsapo-partial", "wb") as file:
                os.chmod(file.fileno(), entry.mode)
                os.chown(file.fileno(), entry.uid, entry.gid)
                file.write(given.extractfile(entry).read())
                file.flush()
                os.fsync(file.fileno())
            os.replace(path + ".techsapo-partial", path)
            continue
        os.chmod(path, entry.mode)
        os.chown(path, entry.uid, entry.gid)
for folder, folders, files in os.walk("/to", topdown=False):
    for name in files:
        if os.path.join(folder, name) not in there:
            os.remove(os.path.join(folder, name))
    if folder not in there and folder.count("/") > 2:
        os.rmdir(folder)
"""


def write(
    fleet: Fleet,
    topology: Topology,
    folders: Sequence[Folder],
    image: str,
    *,
    without: Collection[str] = (),
) -> tuple[str, ...]:
    """Bring the volumes of every machine to the folders here; names of the machines that were written.

    `image` has Python, on each machine. What was written last is noted and not written again. The machines of
    `without`, which do not answer, are passed over until the next call. Raises OpsError with the machine's
    name.
    """
    note = topology.layout.state / NOTE
    known = _noted(note)
    of_machine = _of_machines(topology, folders)
    digests = _digests(of_machine)
    due = [name for name in of_machine if name not in without and known.get(name) != digests[name]]

    def one(name: str) -> None:
        packed, volumes = of_machine[name]
        _write(fleet.members[name], name, topology.spec.project, volumes, packed, image)

    with ThreadPoolExecutor(max(len(due), 1)) as pool:
        list(pool.map(one, due))
    if due:
        write_json(note, {**known, **{name: digests[name] for name in due}})
    return tuple(due)


def behind(topology: Topology, folders: Sequence[Folder]) -> tuple[str, ...]:
    """The machines to which other folders than those here were written last, or none."""
    known = _noted(topology.layout.state / NOTE)
    digests = _digests(_of_machines(topology, folders))
    return tuple(name for name, digest in digests.items() if known.get(name) != digest)


def expect(topology: Topology, folders: Sequence[Folder]) -> None:
    """Take note that the folders here are about to be written, where they are others than those there.

    Whoever finds that note does not know what a machine has, and writes it. Raises OpsError.
    """
    note = topology.layout.state / NOTE
    known, digests = _noted(note), _digests(_of_machines(topology, folders))
    left = {name: digest for name, digest in known.items() if digests.get(name, digest) == digest}
    if left != known:
        write_json(note, left)


def forget(layout: Layout, machine: str) -> None:
    """A new machine has the name: nothing was written there. Raises OpsError where that can't be noted."""
    note = layout.state / NOTE
    known = _noted(note)
    if known.pop(machine, None) is not None:
        write_json(note, known)


def _of_machines(topology: Topology, folders: Sequence[Folder]) -> dict[str, tuple[bytes, tuple[str, ...]]]:
    return {
        machine.name: _packed([f for f in folders if f.service in names])
        for machine in topology.machines
        if (names := {s.name for s in topology.on(machine.name)})
    }


def _digests(of_machine: Mapping[str, tuple[bytes, tuple[str, ...]]]) -> dict[str, str]:
    return {name: hashlib.sha256(packed).hexdigest() for name, (packed, _) in of_machine.items()}


def _write(
    docker: Docker, machine: str, project: str, volumes: Sequence[str], packed: bytes, image: str
) -> None:
    mounts = [word for name in volumes for word in ("--volume", f"{project}_{name}:/to/{name}")]
    for name in volumes:
        docker.call(
            "volume", "create", "--label", f"{STACK}={project}", f"{project}_{name}", timeout=_SECONDS
        )
    command = Command(("python", "-c", _WRITE), stdin=packed)
    call = docker.beside(mounts, image, "0", "/", command)
    done = docker.runner.run(call, timeout=_SECONDS)
    if done.code != 0:
        raise OpsError(
            msg(
                "{machine}: cannot write certificates and keys: {said}",
                machine=machine,
                said=docker.words(done),
            )
        )


def _noted(note: Path) -> dict[str, str]:
    try:
        digests = json.loads(note.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {str(name): str(digest) for name, digest in digests.items()} if isinstance(digests, dict) else {}


def _packed(folders: Sequence[Folder]) -> tuple[bytes, tuple[str, ...]]:
    """A tar of all folders of a machine, each below its volume's name, for its service's user.

    What everybody may read here, such as a CA's certificate, everybody may read there: `exec` asks as root,
    which has no right in a container to read what is another user's alone.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in folders:
            uid = folder.uid
            tar.addfile(_entry(folder.volume, 0o555, uid, directory=True))
            for path in sorted(folder.source.rglob("*")) if folder.source.is_dir() else ():
                name = f"{folder.volume}/{path.relative_to(folder.source).as_posix()}"
                if path.is_dir():
                    tar.addfile(_entry(name, 0o555, uid, directory=True))
                elif path.is_file():
                    content = path.read_bytes()
                    entry = _entry(name, 0o444 if path.stat().st_mode & 0o004 else 0o400, uid)
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue(), tuple(folder.volume for folder in folders)


def _entry(name: str, mode: int, uid: int, *, directory: bool = False) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.uid, entry.gid = mode, uid, uid
    if directory:
        entry.type = tarfile.DIRTYPE
    return entry
