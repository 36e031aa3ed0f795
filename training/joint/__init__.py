"""Layer 5: faces and voice of one clip, held against each other."""
