"""The recovery lab: a whole stack is lost, and comes back from its off-site repository alone, timed."""
