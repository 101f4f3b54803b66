"""What a running Alertmanager has loaded."""

from __future__ import annotations

from collections.abc import Mapping

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.services.alertmanager.configuration import ALERTMANAGER_YML
from techsapo_ops.services.loaded_configuration import TIMEOUT, Loaded, Server, lacking
from techsapo_ops.stack.desired import RenderedFile


def _differs(server: Server, prefix: str, files: Mapping[str, RenderedFile]) -> str:
    file = files[prefix + ALERTMANAGER_YML]
    loaded = _client(server).status().config
    what = lacking(read_yaml(file.content), read_yaml(loaded))
    # With receivers passed through, a value may be a secret.
    return what.partition(" is ")[0] + " differs" if what and file.secret else what


def _client(server: Server) -> Alertmanager:
    return Alertmanager(server.url, timeout=TIMEOUT, login=server.login)


LOADED = Loaded(_differs, lambda server: _client(server).reloaded())
