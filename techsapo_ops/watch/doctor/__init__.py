"""What somebody who helps needs to see of a stack, in one file and without its secrets."""
