"""`python -m slo` is `slo`."""

from slo.cli import main

if __name__ == "__main__":
    main()
