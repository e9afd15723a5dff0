"""`coworkai`, and `python -m coworkai.local`."""

import gc

# What is imported stays: there is no garbage to look for until a command runs.
gc.disable()

from coworkai.local import cli


def main() -> None:
    """Run the command line."""
    gc.freeze()
    gc.enable()
    cli.main()


if __name__ == "__main__":
    main()
