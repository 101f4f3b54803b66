"""A real machine with a power cord: `make vm-lab`."""
