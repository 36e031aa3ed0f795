"""Files that others made: where they come from, what they must be, and how they get here.

A file is what its sha256 says or it is not installed. Where nobody stated a digest, the one of the first file that
came is recorded in ``weights.lock.json`` and holds from then on. ``--from DIR`` reads the same files from a folder.
"""
