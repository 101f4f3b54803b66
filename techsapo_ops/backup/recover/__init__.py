"""Brings a whole stack back on an empty host, from the off-site repository and its password alone."""
