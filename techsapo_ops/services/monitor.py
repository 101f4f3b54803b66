"""What Prometheus, Alertmanager and Grafana share: people open them, and most ask for a login.

Who is given its password, and where the files are:
https://prometheus.io/docs/prometheus/latest/configuration/https/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.kind import Kind, Wanted
from techsapo_ops.stack.layout import Layout

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.secrets import StoredSecret
    from techsapo_ops.stack.service import Login
    from techsapo_ops.stack.topology import Topology


USER = "techsapo"
CLIENT = "client.yml"
"""Name of the file by which promtool and amtool log in."""
CLIENT_HEAD = "# For `promtool` and `amtool`, by --http.config.file: how they log in.\n"
READERS: Mapping[str, tuple[str, ...]] = {
    "prometheus": ("prometheus", "app", "grafana"),
    "alertmanager": ("alertmanager", "prometheus", "grafana", "app"),
}
"""The kinds that ask for a login, and those that log in there; themselves for health checks and scrapes."""


class Monitor(Kind):
    """A server of the monitoring with pages of its own, unless the spec turns it off."""

    monitors = True
    networks = ("edge", "metrics")

    @override
    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:
        settings = getattr(spec.monitoring, self.name)
        if settings.enabled:
            yield Wanted(self.name, settings.host, settings.port)

    @override
    def login(self, topology: Topology) -> Login | None:
        from techsapo_ops.stack.service import Login

        # One that is told to ask for none takes no notice of it.
        asks = self.name in READERS
        return Login(USER, password_file=password_file(topology.layout, self.name)) if asks else None

    @override
    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        return given(topology, self.name)

    @override
    def stored_secrets(self, topology: Topology) -> Iterable[StoredSecret]:
        return stored_secrets(topology, self.name, self.facts.title)

    @override
    def notes(self, topology: Topology) -> Iterable[str]:
        return note(topology, self.name, self.facts.title)


def asks_login(topology: Topology, kind: str) -> bool:
    """Whether the stack's server of `kind` asks for one."""
    if kind not in READERS or not topology.has(kind):
        return False
    asks: bool = getattr(topology.spec.monitoring, kind).login
    return asks


def password_file(layout: Layout, kind: str) -> Path:
    """The password of a server of `kind`, made at its first start, for the tool itself."""
    return layout.keys / f"{kind}-password"


def copy_for(layout: Layout, kind: str, reader: str) -> Path:
    """The copy of that password which the services of kind `reader` alone may read: a file has one owner."""
    return layout.keys / f"{kind}-password.{reader}"


def web_file(layout: Layout, kind: str) -> Path:
    """What the server reads of its login at each request: the user, and a bcrypt hash of the password.

    It is no rendered file: a new hash of the same password is another text each time.
    """
    return layout.keys / f"{kind}-web.yml"


def web_arguments(topology: Topology, kind: str) -> tuple[str, ...]:
    """What the server is started with to ask for its login."""
    if not asks_login(topology, kind):
        return ()
    inside = topology.secret_path(f"{kind}-web.yml")
    return (f"--web.config.file={topology.places.seen(web_file(topology.layout, kind), inside)}",)


def client_file(topology: Topology, kind: str) -> tuple[str, ...]:
    """What promtool and amtool are told to log in with: CLIENT of the server's own folder."""
    if not asks_login(topology, kind):
        return ()
    return (f"--http.config.file={topology.config_dir() / kind / CLIENT}",)


def client_files(topology: Topology, kind: str) -> Iterator[RenderedFile]:
    """That file, where the server asks for a login; it names the password's file and holds no secret."""
    from techsapo_ops.stack.templates import to_yaml

    if (login := basic_auth(topology, kind, kind)) is not None:
        yield RenderedFile(f"{kind}/{CLIENT}", CLIENT_HEAD + to_yaml({"basic_auth": login}) + "\n")


def basic_auth(topology: Topology, kind: str, reader: str) -> dict[str, Any] | None:
    """How a service of kind `reader` logs in at a server of `kind`, as Prometheus has it; None: without."""
    if not asks_login(topology, kind):
        return None
    return {"username": USER, "password_file": str(password_seen(topology, kind, reader))}


def password_seen(topology: Topology, kind: str, reader: str) -> Path:
    """That reader's copy of the password, as the reader sees it."""
    inside = topology.secret_path(f"{kind}-password")
    return topology.places.seen(copy_for(topology.layout, kind, reader), inside)


def given(topology: Topology, reader: str) -> dict[str, Path]:
    """The made files of a service of kind `reader`, by the name under which a container gets each."""
    layout = topology.layout
    files = {f"{kind}-password": copy_for(layout, kind, reader) for kind in _asked_by(topology, reader)}
    if reader in READERS and asks_login(topology, reader):
        files[f"{reader}-web.yml"] = web_file(layout, reader)
    return files


def password_options(topology: Topology, reader: str) -> tuple[str, ...]:
    """`--KIND-password FILE` for each server at which a service of kind `reader` logs in, as it sees it."""
    return tuple(
        word
        for kind in _asked_by(topology, reader)
        for word in (f"--{kind}-password", str(password_seen(topology, kind, reader)))
    )


def note(topology: Topology, kind: str, title: str) -> Iterator[str]:
    """Where the password of a server that asks for one is."""
    if asks_login(topology, kind):
        yield msg(
            "{title} asks for a login: the user is {user}, the password is in {file}",
            title=title,
            user=USER,
            file=password_file(topology.layout, kind),
        )


def stored_secrets(topology: Topology, kind: str, title: str) -> Iterator[StoredSecret]:
    """The password of a server that asks for one."""
    from techsapo_ops.stack.secrets import StoredSecret

    if asks_login(topology, kind):
        used_by = (*(name for name in READERS[kind] if topology.has(name)), "techsapo", "you")
        yield StoredSecret(kind, title, used_by, USER, password_file(topology.layout, kind))


def _asked_by(topology: Topology, reader: str) -> Iterator[str]:
    for kind, readers in READERS.items():
        if reader in readers and asks_login(topology, kind):
            yield kind
