"""Hosts and guests of one frame as masks, one per object."""
