"""Which kinds tell what configuration they have loaded, and how each is asked."""

from __future__ import annotations

from collections.abc import Mapping

from techsapo_ops.services.alertmanager.readback import LOADED as ALERTMANAGER
from techsapo_ops.services.loaded_configuration import Loaded
from techsapo_ops.services.nginx.readback import LOADED as NGINX
from techsapo_ops.services.prometheus.readback import LOADED as PROMETHEUS

LOADED: Mapping[str, Loaded] = {"prometheus": PROMETHEUS, "alertmanager": ALERTMANAGER, "nginx": NGINX}
"""By kind."""
