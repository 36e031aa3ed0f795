"""seccomp: system calls that no decoder makes are refused to a thread and all that it starts.

libseccomp writes the filter. It names what is refused, not what is allowed: which calls a build of ffmpeg makes depends
on its C library and on the processor.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import threading

# seccomp.h, linux/sched.h
ALLOW, REFUSE, NO_SUCH_CALL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
NOT_EQUAL, MASKED_EQUAL = 1, 7
NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)  # CLONE_NEW…
REACHING = "socketpair connect accept accept4"
LISTENING = "bind listen"
AF_UNIX, TYPE, OTHER_TYPES = 1, 0xF, (1, 2, 3, 4, 6, 10)  # sys/socket.h: the types of sockets but SOCK_SEQPACKET
OTHER_PROCESSES = (  # of this user
    "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_getfd pidfd_send_signal ptrace kcmp "
    "process_vm_readv process_vm_writev process_madvise shmget shmat shmctl semget semop semtimedop semctl "
    "msgget msgsnd msgrcv msgctl mq_open mq_unlink"
)
FILES = (  # what Landlock does not know of
    "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat setxattr lsetxattr fsetxattr removexattr "
    "lremovexattr fremovexattr utime utimes utimensat futimesat truncate name_to_handle_at open_by_handle_at"
)
KERNEL = (  # namespaces, mounts, settings, and parts that have had more faults than others
    "unshare setns mount umount2 pivot_root chroot move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr "
    "bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key "
    "kexec_load kexec_file_load init_module finit_module delete_module personality modify_ldt fanotify_init quotactl "
    "syslog acct swapon swapoff reboot sethostname setdomainname settimeofday clock_settime iopl ioperm"
)

_loading = threading.Lock()  # libseccomp's filters are not made for several threads at once


class _Comparison(ctypes.Structure):
    """An argument of a system call, by number, and what it is compared with."""

    _fields_ = (("argument", ctypes.c_uint), ("how", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def load(*, listening: bool = False) -> None:
    """Put the filter on this thread. Raises OSError where there is no libseccomp, or the kernel takes no filter.

    With ``listening`` it may bind Unix sockets of the kind SOCK_SEQPACKET, but neither connect them nor take a caller.
    """
    with _loading:
        library, prepared = _filter(listening=listening)
        if code := library.seccomp_load(prepared):
            raise OSError(-code, os.strerror(-code))


@functools.cache
def _filter(*, listening: bool) -> tuple[ctypes.CDLL, ctypes.c_void_p]:
    """Return libseccomp and our filter. Raises OSError where the library is not there."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    prepared = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(ALLOW)))

    def add(action: int, name: str, *compared: _Comparison) -> None:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # an old library does not know the newest calls
            conditions = (_Comparison * len(compared))(*compared)
            library.seccomp_rule_add_array(prepared, ctypes.c_uint32(action), number, len(compared), conditions)

    for names in (REACHING, OTHER_PROCESSES, FILES, KERNEL, "" if listening else f"socket {LISTENING}"):
        for name in names.split():
            add(REFUSE, name)
    if listening:
        add(REFUSE, "socket", _Comparison(0, NOT_EQUAL, AF_UNIX))
        for kind in OTHER_TYPES:
            add(REFUSE, "socket", _Comparison(1, MASKED_EQUAL, TYPE, kind))
    for flag in NAMESPACES:
        add(REFUSE, "clone", _Comparison(0, MASKED_EQUAL, flag, flag))
    add(NO_SUCH_CALL, "clone3")  # its flags lie in memory, where a filter sees nothing; the C library asks clone then
    add(REFUSE, "prlimit64", _Comparison(0, NOT_EQUAL, 0))  # limits of other processes
    return library, prepared
