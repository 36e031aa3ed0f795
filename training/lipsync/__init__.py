"""Layer 3: mouths painted by a machine, and sound that is not theirs."""
