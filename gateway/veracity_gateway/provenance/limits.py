"""What the child process may use and do."""

from __future__ import annotations

import ctypes
import resource
import signal
from contextlib import suppress
from typing import Any

OUT_OF_MEMORY = 12  # exit status, errno's ENOMEM
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # seccomp.h: SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM)
REFUSED = ("socket", "connect", "sendto", "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev")


def take(seconds: float, memory_bytes: int, output_bytes: int) -> None:
    """Take limits on this process, for good: none of them can be lifted again."""
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
