"""What a user may write into a spec, read and checked. Here are names of environments that mean something."""

from __future__ import annotations

PRODUCTION = "production"
"""Needs no overlay; what it alone requires is in spec/production.py."""
NO_ENVIRONMENT = "none"
"""What -e says for the spec without an overlay; no overlay may be called so."""
