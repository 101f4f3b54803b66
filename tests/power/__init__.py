"""A machine with a power cord: `make power-lab`."""
