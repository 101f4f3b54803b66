"""Everything against a real model, without a network: `make real-model`."""
