"""What a throwaway server is started with, whichever engine starts it."""

from __future__ import annotations

PROMETHEUS = (
    "--log.level=warn",
    # It keeps the blocks as they are: none is too old, none is merged with others or written anew because
    # series of it were deleted.
    "--storage.tsdb.retention.time=100y",
    "--storage.tsdb.min-block-duration=100y",
    "--storage.tsdb.max-block-duration=100y",
    # Every sample is read once.
    "--query.timeout=1h",
    "--query.max-samples=1000000000",
)
"""Options of a Prometheus that only reads what it was given."""
