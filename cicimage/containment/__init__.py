"""Evidence of each guest against its hosts, frame by frame, and what the optics can tell."""
