"""From an alert to evidence and a verdict."""
