"""The audit log: its writer, its spool on disk, its tables and migrations, and what it says of costs."""
