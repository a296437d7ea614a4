"""What runs in a worker process of a `DataLoader`, and how batches and errors travel back.

Processes, not threads: datasets are Python code that holds the interpreter lock, each worker must have its own copy of
the dataset (an iterable dataset is sharded by worker), and a crash must not take the training down unexplained.

Tasks come through one pipe per worker and results go back through another. The large arrays of a batch follow the
pickled rest as raw bytes, so they are copied once. A worker reads its tasks in a thread: then the main process never
waits to send one while the worker waits to send a batch.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import random
import signal
import threading
import traceback
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ops.random import manual_seed
from .fetch import make_fetcher

# What a result is: a batch, an error, the end of an iterable dataset, or the answer to "start again".
BATCH, ERROR, EXHAUSTED, RESUMED = range(4)
# Seconds between two looks at whether the main process still lives.
WATCH_INTERVAL = 5.0


@dataclass(frozen=True)
class WorkerInfo:
    """``id``, ``num_workers``, ``seed`` and ``dataset`` (this worker's copy) of the worker that asks."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process its `WorkerInfo`; None in the main process.

    >>> import chainrule as torch
    >>> torch.utils.data.get_worker_info() is None
    True
    """
    return _info


class _KeyErrorText(str):
    """KeyError shows the repr of its argument; a traceback needs its line breaks."""

    def __repr__(self) -> str:
        return str(self)


class WorkerError:
    """An exception with its traceback as text, made to travel to another process."""

    def __init__(self, error: BaseException, where: str) -> None:
        self.kind: type[BaseException] = type(error)
        self.text = f"Caught {self.kind.__name__} {where}.\nOriginal {''.join(traceback.format_exception(error))}"
        try:
            pickle.loads(pickle.dumps(self.kind))
        except Exception:
            # A class made inside a function cannot be found by the other process: send its first base that can.
            self.kind = next(c for c in self.kind.__mro__[1:] if c.__module__ == "builtins")

    def reraise(self) -> None:
        """Raise the same type with the worker's traceback in the message."""
        text = _KeyErrorText(self.text) if issubclass(self.kind, KeyError) else self.text
        try:
            error = self.kind(text)
        except Exception:
            # A constructor that wants something else than a message.
            raise RuntimeError(self.text) from None
        raise error


def send(connection: Any, task: Any, kind: int, payload: Any) -> None:
    """Send one result; arrays go as separate messages after the header."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps((task, kind, payload), protocol=5, buffer_callback=buffers.append)
    raw = [b.raw() for b in buffers]
    connection.send_bytes(pickle.dumps((body, [len(r) for r in raw])))
    for part in raw:
        if len(part):
            connection.send_bytes(part)


def receive(connection: Any) -> tuple[Any, int, Any]:
    """The counterpart of `send`; arrays are writeable."""
    body, sizes = pickle.loads(connection.recv_bytes())
    buffers = []
    for size in sizes:
        buffer = bytearray(size)
        if size:
            connection.recv_bytes_into(buffer)
        buffers.append(buffer)
    return pickle.loads(body, buffers=buffers)


@dataclass
class WorkerSpec:
    """Everything a worker needs; it must be picklable where processes are not forked."""

    iterable: bool
    dataset: Any
    auto: bool
    collate: Any
    drop_last: bool
    base_seed: int
    init: Any
    id: int
    count: int


def _read_tasks(connection: Any, tasks: queue.SimpleQueue, parent: int) -> None:
    try:
        while True:
            if connection.poll(WATCH_INTERVAL):
                task = connection.recv()
                tasks.put(task)
                if task is None:
                    return
            elif os.getppid() != parent:
                break
    except (EOFError, OSError):
        pass
    # The main process is gone, perhaps while this worker is inside a long __getitem__: nobody wants the result.
    os._exit(1)


def run_worker(spec: WorkerSpec, inbox: Any, outbox: Any, inherited: list[Any]) -> None:
    """The life of a worker: seed, initialise, then one result per task until told to stop."""
    # Ctrl-C reaches every process of the terminal; the main one decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A forked worker inherits the main process's pipe ends; while it holds them no reader would ever see their end.
    for connection in inherited:
        connection.close()
    tasks: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_read_tasks, args=(inbox, tasks, os.getppid()), daemon=True).start()
    # A broken pipe means that the main process stopped listening.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        _serve(spec, tasks, outbox)


def _serve(spec: WorkerSpec, tasks: queue.SimpleQueue, outbox: Any) -> None:
    global _info
    where = f"in DataLoader worker process {spec.id}"
    seed = spec.base_seed + spec.id
    fetcher = failure = None
    try:
        random.seed(seed)
        manual_seed(seed)
        np.random.seed(np.random.SeedSequence(seed).generate_state(4))
        _info = WorkerInfo(spec.id, spec.count, seed, spec.dataset)
        if spec.init is not None:
            spec.init(spec.id)
        fetcher = make_fetcher(spec.iterable, spec.dataset, spec.auto, spec.collate, spec.drop_last)
    except Exception as error:
        failure = WorkerError(error, where)
    while True:
        task = tasks.get()
        if task is None:
            return
        number, indices = task
        kind: int
        payload: Any
        try:
            if indices is RESUME:
                fetcher = make_fetcher(spec.iterable, spec.dataset, spec.auto, spec.collate, spec.drop_last)
                kind, payload = RESUMED, None
            elif failure is not None:
                kind, payload, failure = ERROR, failure, None
            elif fetcher is None:
                kind, payload = EXHAUSTED, None
            else:
                kind, payload = BATCH, fetcher.fetch(indices)
        except StopIteration:
            kind, payload, fetcher = EXHAUSTED, None, None
        except Exception as error:
            kind, payload = ERROR, WorkerError(error, where)
        try:
            send(outbox, number, kind, payload)
        except (BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:
            # A batch that cannot be pickled.
            send(outbox, number, ERROR, WorkerError(error, where))
        del payload, task, indices


class _Resume:
    """Marks the task "start a new epoch"; a class, because pickle keeps a class's identity."""


RESUME = _Resume
