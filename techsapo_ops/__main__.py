"""`python -m techsapo_ops` is `techsapo`."""

from techsapo_ops.cli.main import main

if __name__ == "__main__":
    main()
