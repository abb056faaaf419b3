"""`python -m cicimage` is the command `cicimage`."""

from cicimage.cli import main

main()
