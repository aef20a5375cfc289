"""``python -m rolewise`` is the command line."""

from rolewise.cli import main

if __name__ == "__main__":
    main()
