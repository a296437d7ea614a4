"""The cache of machine code on disk.

An entry is a file named by the sha256 of everything the code depends on. Code is executed, so an entry counts only if
folder and file belong to the user and nobody else can write them, and if the checksum in front of it is right. Whatever
goes wrong with the disk costs a compilation, never the run.
"""

import hashlib
import os
import stat
import sys
import threading
import time
import warnings
from pathlib import Path

VERSION = 1  # part of every key; raise it when the meaning of an entry changes
LIMIT = 512 << 20  # bytes
_MAGIC = b"chainrule-object\0"
_KEEP = 0.8  # what is left, of the limit, when the least recently used entries are removed
_TOUCH = 3600.0  # seconds after which a used entry gets a new time
_STALE = 600.0  # seconds after which an unfinished file is left over from a process that died


def folder():
    """Where the cache lies: a Path, or None where CHAINRULE_CACHE is "off"."""
    place = os.environ.get("CHAINRULE_CACHE")
    if place:
        return None if place.lower() == "off" else Path(place)
    base = os.environ.get("XDG_CACHE_HOME")
    if base and os.path.isabs(base):
        return Path(base) / "chainrule"
    try:
        return Path.home() / ".cache" / "chainrule"
    except RuntimeError:  # a user without a home
        return None


def key(*parts):
    """The name of an entry: sha256 over the texts, each with its length in front."""
    h = hashlib.sha256()
    for part in (str(VERSION), *parts):
        data = part.encode()
        h.update(b"%d:" % len(data))
        h.update(data)
    return h.hexdigest()


class ObjectCache:
    """Entries of bytes by key in one folder; every method is safe in several threads and processes at once."""

    def __init__(self, place, limit=LIMIT):
        self.place = None if place is None else Path(place)
        self.limit = limit
        self.readable = self.writable = self.place is not None
        self.hits = self.misses = 0
        self._checked = False
        self._written = None  # bytes since the last look at the whole folder

    def usable(self):
        """Whether anything can come from here."""
        return self._open()

    def get(self, name):
        """The bytes under ``name``, or None."""
        data = self._read(name) if self._open() else None
        if data is None:
            self.misses += 1
        else:
            self.hits += 1
        return data

    def put(self, name, data):
        """Keep ``data`` under ``name``; the first write that fails says so in one warning and turns writing off."""
        if not (self._open() and self.writable):
            return
        body = _MAGIC + _checksum(name, data) + data
        try:
            try:
                self._write(name, body)
            except FileNotFoundError:  # somebody removed the folder or cleaned it
                self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._write(name, body)
        except OSError as e:
            self.writable = False
            warnings.warn(
                f"chainrule.compile: can not write to the object cache {self.place}: {e}; it is not written any more. "
                "Set CHAINRULE_CACHE to another folder, or to off.",
                RuntimeWarning,
                stacklevel=2,
            )
            return
        if self._written is None or self._written + len(body) > self.limit // 16:
            self.trim()
            self._written = 0
        self._written += len(body)

    def _write(self, name, body):
        """A file that is complete from the moment it has its name."""
        temporary = os.path.join(self.place, f".new-{os.getpid()}-{threading.get_ident()}-{time.monotonic_ns()}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        fd = os.open(temporary, flags, 0o600)
        try:
            with os.fdopen(fd, "wb") as f:
                f.write(body)
            os.replace(temporary, self.place / name)
        except BaseException:
            _remove(temporary)
            raise

    def trim(self):
        """Remove the least recently used entries if all together are above the limit."""
        entries, now = [], time.time()
        try:
            with os.scandir(self.place) as files:
                for f in files:
                    try:
                        s = f.stat(follow_symlinks=False)
                    except OSError:
                        continue  # another process removed it
                    if f.name.startswith(".new-") and now - s.st_mtime > _STALE:
                        _remove(f.path)
                    elif _is_key(f.name):
                        entries.append((s.st_mtime, s.st_size, f.path))
        except OSError:
            return
        total = sum(size for _, size, _ in entries)
        if total <= self.limit:
            return
        for _, size, path in sorted(entries):
            if total <= self.limit * _KEEP:
                break
            _remove(path)
            total -= size

    def _open(self):
        """Whether entries may be read; makes and checks the folder the first time."""
        if not self._checked:
            self._checked = True
            if self.place is not None:
                self._prepare()
        return self.readable

    def _prepare(self):
        try:
            self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            if not self.place.is_dir():
                self.readable = self.writable = False
                return
        reason = _distrust(os.stat(self.place))
        if reason:
            self.readable = self.writable = False
            warnings.warn(
                f"chainrule.compile: the object cache {self.place} is not used, because {reason}. "
                "Make it yours alone (chmod 700), or set CHAINRULE_CACHE to another folder, or to off.",
                RuntimeWarning,
                stacklevel=3,
            )
        elif not os.access(self.place, os.W_OK):
            self.writable = False

    def _read(self, name):
        path = self.place / name
        try:
            fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        except OSError:
            return None
        try:
            with os.fdopen(fd, "rb") as f:
                s = os.fstat(f.fileno())
                if not stat.S_ISREG(s.st_mode) or _distrust(s):
                    return None
                body = f.read()
        except OSError:
            return None
        start = len(_MAGIC) + 32
        data = body[start:]
        if body[: len(_MAGIC)] != _MAGIC or _checksum(name, data) != body[len(_MAGIC) : start]:
            if self.writable:
                _remove(path)  # cut off or damaged: it is made anew
            return None
        if self.writable and time.time() - s.st_mtime > _TOUCH:
            try:
                os.utime(path)
            except OSError:
                pass
        return data


def _checksum(name, data):
    return hashlib.sha256(name.encode() + data).digest()


def _distrust(s):
    """Why a file or folder with these properties is not to be trusted, or None."""
    if sys.platform == "win32":
        return None  # the profile's folder is the user's own there
    if s.st_uid != os.geteuid():
        return "it belongs to another user"
    if s.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others may write to it"
    return None


def _is_key(name):
    return len(name) == 64 and all(c in "0123456789abcdef" for c in name)


def _remove(path):
    try:
        os.unlink(path)
    except OSError:
        pass


_shared = {}  # one cache object per folder


def shared():
    """The process's cache: where CHAINRULE_CACHE says now."""
    place = folder()
    cache = _shared.get(place)
    if cache is None:
        cache = _shared[place] = ObjectCache(place)
    return cache
