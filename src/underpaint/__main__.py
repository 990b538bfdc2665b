"""``python -m underpaint`` is the command line."""

from underpaint.cli import main

if __name__ == "__main__":
    main()
