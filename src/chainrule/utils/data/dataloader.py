"""`DataLoader`: batches from a dataset, in this process or from workers."""

from __future__ import annotations

import multiprocessing
import multiprocessing.context
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ...config import switches
from ...errors import CaptureError
from ...node import call_site, site_text
from ...ops.random import Generator
from .collate import default_collate, default_convert
from .dataset import IterableDataset
from .fetch import TensorFetcher, make_fetcher, warn_if_longer
from .multi import MultiIterator
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draw_seed

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class _Endless(Sampler):
    """Stands for the indices of an iterable dataset, which has none."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader:
    """Iterates over a dataset in batches.

    Args:
        dataset: something with ``__getitem__`` and ``__len__``, or an `IterableDataset`.
        batch_size: samples per batch; None gives samples as they are, not collated.
        shuffle: visit in a new random order each epoch.
        sampler: the order of indices, instead of ``shuffle``.
        batch_sampler: lists of indices, instead of ``batch_size``, ``shuffle``, ``sampler`` and ``drop_last``.
        num_workers: processes that fetch ahead; 0 fetches in this process. Batches come in the same order either way.
        collate_fn: makes a batch from a list of samples; `default_collate`.
        pin_memory, pin_memory_device: accepted; there is no device memory to copy to.
        drop_last: leave out an incomplete last batch.
        timeout: seconds to wait for a batch from a worker; 0 waits as long as it takes.
        worker_init_fn: called in each worker with its number, after seeding.
        multiprocessing_context: a context or start method for the workers.
        generator: random numbers for shuffling and the workers' seeds.
        prefetch_factor: batches each worker fetches ahead; 2.
        persistent_workers: keep the workers after an epoch.
        in_order: False gives a batch as soon as a worker has it.

    Raises:
        ValueError: options that exclude each other or are out of range.
        RuntimeError: a worker died, or did not answer within ``timeout``. An exception in a worker is raised here with
            its own type and the worker's traceback in the message.

    >>> import chainrule as torch
    >>> from chainrule.utils.data import DataLoader, TensorDataset
    >>> data = TensorDataset(torch.arange(5.0), torch.arange(5))
    >>> for x, y in DataLoader(data, batch_size=2):
    ...     print(x, y)
    tensor([0., 1.]) tensor([0, 1])
    tensor([2., 3.]) tensor([2, 3])
    tensor([4.]) tensor([4])
    """

    _iterator: MultiIterator | None = None
    _ready = False

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler | Iterable | None = None,
        batch_sampler: Sampler[list] | Iterable[list] | None = None,
        num_workers: int = 0,
        collate_fn: Callable | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing."
                "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
            )
        if num_workers > 0 and prefetch_factor is None:
            prefetch_factor = 2
        elif prefetch_factor is not None and prefetch_factor <= 0:
            raise ValueError("prefetch_factor option should be positive")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        if num_workers == 0 and timeout != 0:
            raise ValueError("timeout option could only be specified with num_workers > 0")
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = self._check_context(multiprocessing_context)
        self.in_order = in_order
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable:
            for name, value, free in (
                ("shuffle", shuffle, (False, None)),
                ("sampler", sampler, (None,)),
                ("batch_sampler", batch_sampler, (None,)),
            ):
                if not any(value is f for f in free):
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}"
                    )
        shuffle = bool(shuffle)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
            drop_last = False
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            if self._iterable:
                sampler = _Endless()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.generator = generator
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn = collate_fn
        self.persistent_workers = persistent_workers
        self._announced_length: int | None = None
        self._ready = True
        _warn_too_many(num_workers)

    def _check_context(self, context: Any) -> Any:
        if context is None:
            return None
        if self.num_workers == 0:
            raise ValueError(
                "multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got "
                f"num_workers={self.num_workers}"
            )
        if isinstance(context, str):
            methods = multiprocessing.get_all_start_methods()
            if context not in methods:
                raise ValueError(
                    f"multiprocessing_context option should specify a valid start method in {methods!r}, but got "
                    f"multiprocessing_context={context!r}"
                )
            context = multiprocessing.get_context(context)
        if not isinstance(context, multiprocessing.context.BaseContext):
            raise TypeError(
                "multiprocessing_context option should be a valid context object or a string specifying the start "
                f"method, but got multiprocessing_context={context}"
            )
        return context

    def __setattr__(self, attr: str, value: Any) -> None:
        if self._ready and attr in _FIXED:
            raise ValueError(f"{attr} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(attr, value)

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.batch_sampler if self._auto_collation else self.sampler

    def __iter__(self) -> Iterator[Any]:
        if switches.tracer is not None and switches.tracer.thread == threading.get_ident():
            raise CaptureError(
                f"compile: a DataLoader is iterated over at {site_text(call_site(3))}. A captured function runs once, "
                "so it would see the same batches at each call: iterate outside and pass the batch"
            )
        if self.num_workers == 0:
            return _SingleIterator(self)
        if not self.persistent_workers:
            return MultiIterator(self)
        if self._iterator is None or not self._iterator.alive:
            self._iterator = MultiIterator(self)
        else:
            self._iterator.start_again()
        return self._iterator

    def __len__(self) -> int:
        """The number of batches. For an `IterableDataset` from its ``__len__``, which may be only an estimate."""
        if not self._iterable:
            return len(self._index_sampler)
        length = self._announced_length = len(self.dataset)
        if self.batch_size is not None:
            length = length // self.batch_size if self.drop_last else -(-length // self.batch_size)
        return length


class _SingleIterator:
    """One pass in this process."""

    def __init__(self, loader: DataLoader) -> None:
        self._fetcher = make_fetcher(
            loader._iterable, loader.dataset, loader._auto_collation, loader.collate_fn, loader.drop_last
        )
        # Drawn although unused here, so that the same program shuffles the same with and without workers.
        self._base_seed = draw_seed(loader.generator)
        sampler = loader._index_sampler
        simple = type(sampler) is BatchSampler and type(sampler.sampler) in (RandomSampler, SequentialSampler)
        if simple and type(self._fetcher) is TensorFetcher:
            self._indices = sampler.arrays()
        else:
            self._indices = iter(sampler)
        self._sampler = sampler
        self._loader = loader
        self._yielded = 0

    def __iter__(self) -> _SingleIterator:
        return self

    def __next__(self) -> Any:
        batch = self._fetcher.fetch(next(self._indices))
        self._yielded += 1
        if self._loader._announced_length is not None:
            warn_if_longer(self._loader, self._yielded)
        return batch

    def __len__(self) -> int:
        return len(self._sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


def _warn_too_many(num_workers: int) -> None:
    if not num_workers:
        return
    try:
        available = len(os.sched_getaffinity(0))
    except AttributeError:
        available = os.cpu_count() or num_workers
    if num_workers > available:
        warnings.warn(
            f"This DataLoader will create {num_workers} worker processes in total. Our suggested max number of worker "
            f"in current system is {available}, which is smaller than what this DataLoader is going to create. Please "
            "be aware that excessive worker creation might get DataLoader running slow or even freeze, lower the "
            "worker number to avoid potential slowness/freeze if necessary.",
            stacklevel=3,
        )
