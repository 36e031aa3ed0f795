"""Layer 1: speech, fakes made of it, the channel after both, the task and the report."""
