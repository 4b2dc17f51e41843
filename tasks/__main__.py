"""`python -m tasks` is `bodytruth`."""

from tasks.cli import main

if __name__ == "__main__":
    main()
