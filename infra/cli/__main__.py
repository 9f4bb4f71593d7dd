"""`python -m infra.cli` is `blotter`."""

from infra.cli.app import main

if __name__ == "__main__":
    main()
