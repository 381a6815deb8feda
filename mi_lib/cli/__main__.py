"""`python -m mi_lib.cli` is `mi`."""

from mi_lib.cli import main

if __name__ == "__main__":
    main()
