"""`python -m cicimage` is the command `cicimage`."""

from cicimage.cli import main

if __name__ == "__main__":
    main()
