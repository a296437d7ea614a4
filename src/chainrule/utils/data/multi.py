"""The main process's side of a `DataLoader` with workers."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import time
import warnings
import weakref
from typing import TYPE_CHECKING, Any

from .fetch import warn_if_longer
from .sampler import draw_seed
from .worker import ERROR, EXHAUSTED, RESUME, RESUMED, WorkerSpec, receive, run_worker

if TYPE_CHECKING:
    from .dataloader import DataLoader

# Seconds a worker gets to end by itself before it is terminated.
PATIENCE = 2.0


# Iterators with running workers: their pipe ends must be closed in every forked worker.
_live: weakref.WeakSet = weakref.WeakSet()


class MultiIterator:
    """One pass (several with persistent workers) over batches that worker processes fetch.

    Task number n goes to the next worker that still has data, in turn; at most ``prefetch_factor`` tasks per worker are
    under way. Answers that come early wait in ``_arrived`` until it is their turn, so the order does not depend on
    which worker is quicker.
    """

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader
        self._count = loader.num_workers
        # Numbers from an earlier epoch that still arrive are recognised by their epoch and dropped.
        self._epoch = 0
        self._workers: list[Any] = []
        self._inboxes: list[Any] = []
        self._outboxes: list[Any] = []
        self._finalizer = weakref.finalize(self, _stop, self._workers, self._inboxes, self._outboxes, os.getpid())
        _live.add(self)
        self._base_seed = draw_seed(loader.generator)
        context = loader.multiprocessing_context or multiprocessing.get_context()
        try:
            for i in range(self._count):
                self._start_worker(context, i)
        except BaseException:
            self._finalizer()
            raise
        self._begin()

    def _start_worker(self, context: Any, number: int) -> None:
        loader = self._loader
        task_reader, task_writer = context.Pipe(duplex=False)
        result_reader, result_writer = context.Pipe(duplex=False)
        spec = WorkerSpec(
            loader._iterable,
            loader.dataset,
            loader._auto_collation,
            loader.collate_fn,
            loader.drop_last,
            self._base_seed,
            loader.worker_init_fn,
            number,
            self._count,
        )
        inherited = []
        if context.get_start_method() == "fork":
            inherited = [task_writer, result_reader]
            for other in _live:
                inherited += (*other._inboxes, *other._outboxes)
        process = context.Process(target=run_worker, args=(spec, task_reader, result_writer, inherited), daemon=True)
        with warnings.catch_warnings():
            # From Python 3.12 on a fork warns when the process has threads, be they idle ones of a numerical library.
            warnings.filterwarnings("ignore", message=".*is multi-threaded, use of fork", category=DeprecationWarning)
            process.start()
        # The worker's ends live in the worker only, so that its death shows here as the end of the pipe.
        task_reader.close()
        result_writer.close()
        self._workers.append(process)
        self._inboxes.append(task_writer)
        self._outboxes.append(result_reader)

    @property
    def alive(self) -> bool:
        return self._finalizer.alive

    def _begin(self) -> None:
        """Start an epoch: hand out the first tasks."""
        self._indices = iter(self._loader._index_sampler)
        self._sent = self._next = self._yielded = 0
        self._owner: dict[int, int] = {}  # task number -> worker, for tasks under way
        self._arrived: dict[int, tuple[int, Any]] = {}
        self._has_data = [True] * self._count
        self._turn = 0
        for _ in range(self._loader.prefetch_factor * self._count):
            self._send_task()

    def start_again(self) -> None:
        """The next epoch with the same workers."""
        self._epoch += 1
        self._has_data = [True] * self._count
        for inbox in self._inboxes:
            self._put(inbox, ((self._epoch, -1), RESUME))
        waiting = self._count
        while waiting:
            (epoch, _), kind, payload, _ = self._receive()
            if epoch != self._epoch:
                continue
            if kind == ERROR:
                self._finalizer()
                payload.reraise()
            waiting -= kind == RESUMED
        self._begin()

    def _put(self, inbox: Any, task: Any) -> None:
        # If the worker died, waiting for its answer will say so.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            inbox.send(task)

    def _send_task(self) -> None:
        if not any(self._has_data):
            return
        try:
            indices = next(self._indices)
        except StopIteration:
            return
        while not self._has_data[self._turn]:
            self._turn = (self._turn + 1) % self._count
        worker, self._turn = self._turn, (self._turn + 1) % self._count
        self._owner[self._sent] = worker
        self._put(self._inboxes[worker], ((self._epoch, self._sent), indices))
        self._sent += 1

    def _receive(self) -> tuple[tuple[int, int], int, Any, int]:
        """The next answer of any worker: (epoch, number), kind, payload, worker."""
        timeout = self._loader.timeout or None
        ready = multiprocessing.connection.wait(self._outboxes, timeout)
        if not ready:
            self._finalizer()
            raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
        connection: Any = ready[0]
        worker = self._outboxes.index(connection)
        try:
            (epoch, number), kind, payload = receive(connection)
        except (EOFError, ConnectionResetError):
            process = self._workers[worker]
            process.join(PATIENCE)
            pid, code = process.pid, process.exitcode
            self._finalizer()
            raise RuntimeError(
                f"DataLoader worker (pid(s) {pid}) exited unexpectedly with exit code {code}. Look for its message on "
                "stderr, for a lack of memory, or run with num_workers=0."
            ) from None
        return (epoch, number), kind, payload, worker

    def __iter__(self) -> MultiIterator:
        return self

    def __next__(self) -> Any:
        if not self.alive:
            raise StopIteration
        try:
            return self._next_batch()
        except KeyboardInterrupt:
            # The interrupt may have hit in the middle of a message: the pipes cannot be used any more.
            self._finalizer()
            raise

    def _next_batch(self) -> Any:
        in_order = self._loader.in_order
        while True:
            if in_order:
                answer = self._arrived.pop(self._next, None)
                number = self._next
            else:
                number = next(iter(self._arrived), -1)
                answer = self._arrived.pop(number, None)
            if answer is not None:
                self._next += 1
                kind, payload = answer
                if kind == EXHAUSTED:
                    continue
                self._send_task()
                if kind == ERROR:
                    payload.reraise()
                self._yielded += 1
                if self._loader._announced_length is not None:
                    warn_if_longer(self._loader, self._yielded)
                return payload
            if not self._owner:
                if not self._loader.persistent_workers:
                    self._finalizer()
                raise StopIteration
            (epoch, number), kind, payload, worker = self._receive()
            if epoch != self._epoch:
                continue
            del self._owner[number]
            self._arrived[number] = (kind, payload)
            if kind == EXHAUSTED:
                self._has_data[worker] = False
                # The end of one worker's data must not slow the others down.
                self._send_task()

    def __len__(self) -> int:
        return len(self._loader._index_sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


def _stop(workers: list[Any], inboxes: list[Any], outboxes: list[Any], owner: int) -> None:
    """End the workers: ask, wait a moment, then insist. A forked copy of the main process leaves them alone."""
    if os.getpid() != owner:
        return
    for inbox in inboxes:
        with contextlib.suppress(OSError, ValueError):
            inbox.send(None)
    # A worker that waits to send a batch learns from the closed pipe that nobody wants it.
    for connection in (*inboxes, *outboxes):
        connection.close()
    deadline = time.monotonic() + PATIENCE
    for process in workers:
        process.join(max(0.0, deadline - time.monotonic()))
    for process in workers:
        if process.is_alive():
            process.terminate()
            process.join(PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()
        process.close()
