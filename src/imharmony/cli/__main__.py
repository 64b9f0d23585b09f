"""`python -m imharmony.cli` is `imharmony`."""

from imharmony.cli import main

if __name__ == "__main__":
    main()
