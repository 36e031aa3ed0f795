"""One analysis: what all of a process share, the state of one, and the order of its stages."""
