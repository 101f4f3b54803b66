"""What the app keeps: cached answers, budgets, API keys, rate limits, work under way, the audit log."""
