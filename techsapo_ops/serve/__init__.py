"""The orchestrator's API: routes, streams, who may ask, metrics, and the built-in pages."""

from __future__ import annotations

from techsapo_ops.adapters.imports import without

# For tracebacks on a terminal it would take rich: with pygments 10 MB and 70 ms of a start, and our lines
# are JSON.
with without("rich"):
    import structlog  # noqa: F401 - the import is what is wanted
# Its own command line would take it, too.
with without("httpx._main"):
    import httpx  # noqa: F401 - likewise
