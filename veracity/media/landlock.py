"""Landlock: what of the file system a thread, and all that it starts, can still reach."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat
from collections.abc import Iterable
from typing import Any

PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h

# linux/landlock.h
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # system calls
ASK_VERSION = PATH_BENEATH = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL = 1, 2, 4, 8, 1 << 14, 1 << 15
FILES = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}  # all rights that a version knows
TCP = {1: 0, 4: 0b11}  # binding, connecting
SCOPES = {1: 0, 6: 0b11}  # abstract Unix sockets and signals of whoever is not confined likewise


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("tcp", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("place", ctypes.c_int32))


def version() -> int:
    """Return the newest version that this kernel knows. Raises OSError where it has none."""
    return _system_call(CREATE_RULESET, None, 0, ASK_VERSION)


def forbid_privileges() -> None:
    """Let no set-user-id program gain rights, which Landlock and seccomp ask for."""
    if _libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def restrict(version: int, paths: Iterable[str], source: int, writable: Iterable[str] = ()) -> None:
    """Leave this thread ``paths`` and the open file ``source`` to read; connections, signals and writing are over.

    What is ``writable``, device files above all, may be written and controlled too, but nothing be made or removed.
    """
    handled = _Ruleset(*(max(known[k] for k in known if k <= version) for known in (FILES, TCP, SCOPES)))
    ruleset = _system_call(CREATE_RULESET, ctypes.byref(handled), ctypes.sizeof(handled), 0)
    try:
        for path in paths:
            _allow_path(ruleset, path, EXECUTE | READ_FILE | READ_DIR)
        for path in writable:
            _allow_path(ruleset, path, (WRITE_FILE | READ_FILE | READ_DIR | TRUNCATE | IOCTL) & handled.files)
        _allow_path(ruleset, "/proc", READ_DIR)  # Python 3.10 lists its descriptors there to close them
        if source >= 0:
            _allow_source(ruleset, source)
        _system_call(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow_path(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH)
    except FileNotFoundError:  # not every system has all of them
        return
    try:
        _allow(ruleset, place, rights if stat.S_ISDIR(os.fstat(place).st_mode) else rights & ~READ_DIR)
    finally:
        os.close(place)


def _allow_source(ruleset: int, source: int) -> None:
    try:
        _allow(ruleset, source, READ_FILE)
    except OSError as error:
        if error.errno != errno.EBADFD:  # a file in memory lies nowhere: Landlock neither wants a rule nor takes one
            raise


def _allow(ruleset: int, place: int, rights: int) -> None:
    _system_call(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(_Rule(rights, place)), 0)


def _system_call(number: int, *arguments: Any) -> int:
    """Make a system call that the C library has no function for."""
    result = int(_libc().syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
