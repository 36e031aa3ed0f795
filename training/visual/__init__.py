"""Layer 2: faces, and fakes made of them."""
