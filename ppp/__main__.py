"""`python -m ppp`: the same as `ppp`."""

from ppp.cli.main import main

if __name__ == "__main__":
    main()
