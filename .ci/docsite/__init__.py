"""What makes files of this repository from its code; nothing of it is installed."""
