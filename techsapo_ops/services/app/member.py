"""The app on each of several machines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from techsapo_ops.services.app.kind import App

if TYPE_CHECKING:
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.topology import Topology


class AppMember(App):
    """The app, which reads in folders of their own what changes while it runs: its configuration can't."""

    def container(self, topology: Topology, service: Service) -> Container:
        """The same with these folders."""
        from techsapo_ops.stack.layout import BUDGET_FOLDER
        from techsapo_ops.stack.maintenance import seen_by

        alone = super().container(topology, service)
        told = (*seen_by(topology, self.name), *seen_by(topology, self.name, BUDGET_FOLDER))
        return replace(alone, binds=(*told, *alone.binds))


MEMBER = AppMember()
