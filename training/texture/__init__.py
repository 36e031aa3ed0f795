"""Layer 4 of still pictures: squares of real pictures, and the same drawn anew by networks."""
