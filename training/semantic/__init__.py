"""Layer 4: whole pictures, and fakes made of them."""
