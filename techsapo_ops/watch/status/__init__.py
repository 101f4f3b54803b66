"""How the stack is, at one look."""
