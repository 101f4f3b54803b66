"""A kind of service that the package does not know: a server which keeps words and greets."""
