"""One module a detector: all that is declared of it, in one place."""
