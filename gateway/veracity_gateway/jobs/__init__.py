"""Jobs: what they are, where they are kept, and who works on them."""
