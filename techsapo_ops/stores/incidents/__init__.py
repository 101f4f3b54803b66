"""Incidents, their alerts and time lines, and events: tables of the audit database, which backups hold."""
