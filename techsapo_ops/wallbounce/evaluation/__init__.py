"""Labelled questions: what their answers must say, and how far figures from so few can be trusted."""

OWN_REQUESTS = "eval_"
"""What the id of a request begins with that `techsapo eval` sends: nobody is waiting for its answer."""
