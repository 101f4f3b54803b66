"""What the app keeps: cached answers, budgets, API keys, rate limits, work under way, the audit log."""


class Unconfirmed(Exception):
    """What was to be written may be lost by a failover, or was not written at all: nothing may rest on it."""
