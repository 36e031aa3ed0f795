"""The media that the figures rest on: where each item comes from, how it is made again, and which part it is in."""
