"""The weekly report: what it says, and how it reaches people."""
