"""What a command does: destroys, runs foreign code, weakens security, stops a service, reads, or unknown.

A line is parsed: by bash's grammar (tree-sitter), SQL by its own parser (sqlglot). Commands that run others
are unwrapped. What only reads is listed with its options (catalogue/commands/reading.yaml), all else is
unknown, and unknown is never called safe. Parsers are imported when the first command is looked at.
"""
