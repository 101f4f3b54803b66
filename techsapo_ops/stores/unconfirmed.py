"""What a store says where nothing may rest on what was to be written."""


class Unconfirmed(Exception):
    """What was to be written may be lost by a failover, or was not written at all: nothing may rest on it."""
