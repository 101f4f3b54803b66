"""Pages that are made from the code: configuration, commands with their man pages, metrics, alerts."""
