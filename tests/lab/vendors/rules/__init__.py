"""What each vendor refuses, by tests/cases/vendors/*.yaml: the stand-ins ask here before they answer.

Statuses and codes are the vendors'. Words are theirs where the table names a source for them, else ours.
"""
