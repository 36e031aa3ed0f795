"""What analysts say of verdicts."""
