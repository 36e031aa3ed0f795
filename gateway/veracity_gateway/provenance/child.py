"""Read the file on standard input and print what it says of its origin, as JSON: ``child.py '{"seconds": …}' < FILE``.

The file is hostile and its readers are native code. So this process takes limits on itself before it touches the file,
refuses itself sockets and other programs where the system has libseccomp, and ends itself if nobody ends it.
"""

from __future__ import annotations

import ctypes
import json
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

OUT_OF_MEMORY = 12  # exit status, errno's ENOMEM
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # seccomp.h: SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM)
REFUSED = ("socket", "connect", "sendto", "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev")


def main() -> int:
    """Print what the file says. The exit status is 0, or 12 where it wants more memory than it may have."""
    given = json.loads(sys.argv[1])
    _limit(given["seconds"], given["memory_bytes"], given["output_bytes"])
    try:
        found = _found(given)
    except MemoryError:
        return OUT_OF_MEMORY
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()
    return 0


def _limit(seconds: float, memory_bytes: int, output_bytes: int) -> None:
    whole = int(seconds) + 1
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CPU: whole,
        resource.RLIMIT_FSIZE: output_bytes,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    for limit, most in limits.items():
        resource.setrlimit(limit, (most, most))
    signal.alarm(whole + 1)  # ends this process if its parent is gone
    with suppress(OSError):  # no libseccomp
        _refuse_calls(ctypes.CDLL("libseccomp.so.2"))


def _refuse_calls(library: Any) -> None:
    library.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(ALLOW)))
    for name in REFUSED:
        call = library.seccomp_syscall_resolve_name(name.encode())
        library.seccomp_rule_add(rules, ctypes.c_uint32(REFUSE), ctypes.c_int(call), ctypes.c_uint(0))
    library.seccomp_load(rules)


def _found(given: dict[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    from veracity_gateway.provenance import containers, credentials, marks, pictures
    from veracity_gateway.provenance.records import State

    source = Path("/proc/self/fd/0").open("rb")  # noqa: SIM115  open to the end of this process
    state: State
    reason, said = None, None
    try:
        state, said = credentials.read(source, credentials.settings(Path(given["signers"]), Path(given["authorities"])))
    except credentials.Unreadable as error:
        state, reason = "unreadable", str(error)
    source.seek(0)
    facts = pictures.read(source) or containers.read()
    return {
        "state": state,
        "reason": reason,
        "credentials": said and asdict(said),
        "metadata": asdict(marks.metadata(facts)),
        "declared": [asdict(mark) for mark in marks.declared(facts, state, said)],
    }


if __name__ == "__main__":
    sys.exit(main())
