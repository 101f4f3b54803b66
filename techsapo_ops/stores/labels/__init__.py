"""What people say of answers: a table of the audit database, which backups hold."""
