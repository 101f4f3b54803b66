"""Three machines whose cables are pulled and whose power is cut: `make swarm-lab`.

The machines are those of tests/lab/swarm_lab.py. What is proved stands in proofs/, a module each.
"""
