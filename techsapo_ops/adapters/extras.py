"""Packages that come with an extra of this one, and may not be there."""

from __future__ import annotations

from importlib.util import find_spec

from techsapo_ops.messages import msg

OTEL_LACKING = msg("the packages of the extra `otel` are not installed")
OTEL_HINT = msg(
    "pip install 'techsapo-ops[otel]', in a checkout `.venv/bin/pip install --no-deps "
    "--require-hashes -r requirements-otel.lock`, and restart the app; the app's image "
    "has them"
)


def has_otel() -> bool:
    """Whether spans can be sent from this Python. Nothing of it is imported but the names above it."""
    try:
        return find_spec("opentelemetry.sdk.trace") is not None and (
            find_spec("opentelemetry.exporter.otlp.proto.http") is not None
        )
    except ModuleNotFoundError:  # of a name above it
        return False
