"""What an engine does of the blackbox exporter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.services.runtime import Runtime

if TYPE_CHECKING:
    from techsapo_ops.services.loaded_configuration import Loaded


class BlackboxRuntime(Runtime):
    """It tells what it has loaded."""

    @override
    def loaded(self) -> Loaded:
        from techsapo_ops.services.blackbox.readback import LOADED

        return LOADED


RUNTIME = BlackboxRuntime()
