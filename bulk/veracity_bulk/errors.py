"""What can go wrong with a file before a server sees it, beside the errors of :mod:`veracity_client.errors`.

VeracityError
├── BadVideo, LimitExceeded   of the file: another try says the same, and its row stands
├── Unreadable                the file was not read
│   ├── Missing
│   ├── Denied
│   └── StoreUnavailable      is tried again
├── WorkerDied                is tried again by the next run
├── OutputError               the run: rows cannot be written
└── RayError                  the run: Ray does not start, or ends
"""

from __future__ import annotations

from veracity_client.errors import BadOption, BadVideo, LimitExceeded, Unauthorized, VeracityError


class Unreadable(VeracityError):
    """The file was not read: its name means nothing here, or its store refused in a way that we do not know."""


class Missing(Unreadable):
    """There is no such file."""


class Denied(Unreadable):
    """The file is there perhaps, and we may not read it."""


class StoreUnavailable(Unreadable):
    """The disk, bucket or site did not answer."""


class WorkerDied(VeracityError):
    """Each worker that had this file died; it may need more memory than there is."""


class OutputError(VeracityError):
    """A row cannot be written: a full disk, a bucket that refuses. Rows that are written stay."""


class RayError(VeracityError):
    """Ray does not start, or its work ended with an error; the message is the innermost reason."""


OF_THE_FILE = (BadVideo, LimitExceeded)
NOT_RETRIED = (BadVideo, LimitExceeded, BadOption, Unauthorized, Missing, Denied)
