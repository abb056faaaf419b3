"""Recordings: lazy T, C, Z, Y, X planes with units, one file per format, and the preflight gate."""
