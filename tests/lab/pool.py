"""What several tests of a worker use and none changes: brought up once for each spec, ended with the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator import serving
from servers import Server


@dataclass
class Pool:
    """Stacks, apps and servers by the digest of their spec; see the fixture `shared`.

    A test that changes what it is given, stops it, reads all of its log or counts what happened there, makes
    one of its own.
    """

    folder: Path
    everything: ExitStack
    _made: dict[str, Any] = field(default_factory=dict)

    def of(self, spec: Mapping[str, Any], make: Callable[[Path], AbstractContextManager[Any]]) -> Any:
        """What `make`, given a folder, brings up for `spec`, which names no port: those differ each time."""
        digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:12]
        if digest not in self._made:
            self._made[digest] = self.everything.enter_context(make(self.folder / digest))
        return self._made[digest]

    def app(self, **sections: Any) -> Server:
        """An app of its own process, as of `orchestrator.serving` with these sections."""
        made: Server = self.of({"serving": sections}, lambda folder: serving(folder, **sections))
        return made
