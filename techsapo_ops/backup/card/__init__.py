"""The recovery card: what must be known away from this host, on one page."""
