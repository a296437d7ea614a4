"""From indices to one batch, in the main process and in workers alike."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from ...handle import Tensor
from .collate import default_collate
from .dataset import Subset, TensorDataset, fetch_all


class MapFetcher:
    """Batches, or single samples if ``auto`` is off, of a dataset with an index."""

    def __init__(self, dataset: Any, auto: bool, collate: Callable, drop_last: bool) -> None:
        self.dataset, self.auto, self.collate = dataset, auto, collate

    def fetch(self, indices: Any) -> Any:
        try:
            return self.collate(fetch_all(self.dataset, indices) if self.auto else self.dataset[indices])
        except StopIteration as error:
            # Let through, it would end the loop over the loader as if all were done.
            raise RuntimeError(f"the dataset raised StopIteration for {indices}") from error


class IterableFetcher:
    """Batches, or single samples, of an iterable dataset; ``StopIteration`` at the end."""

    def __init__(self, dataset: Any, auto: bool, collate: Callable, drop_last: bool) -> None:
        self.samples: Iterator = iter(dataset)
        self.auto, self.collate, self.drop_last, self.ended = auto, collate, drop_last, False

    def fetch(self, indices: Any) -> Any:
        if self.ended:
            raise StopIteration
        if not self.auto:
            return self.collate(next(self.samples))
        batch = list(islice(self.samples, len(indices)))
        self.ended = len(batch) < len(indices)
        if not batch or (self.drop_last and self.ended):
            raise StopIteration
        return self.collate(batch)


class TensorFetcher:
    """Batches of a `TensorDataset` (or subsets of one): one row selection per tensor instead of one per sample.

    Gives what stacking the samples would, in fresh memory.
    """

    def __init__(self, arrays: list[np.ndarray], selection: np.ndarray | None) -> None:
        self.arrays, self.selection = arrays, selection

    def fetch(self, indices: Any) -> list[Tensor]:
        rows = np.asarray(indices)
        if rows.dtype.kind not in "iu":  # a sampler may give tensors or other index-like objects
            rows = np.array([int(i) for i in indices], dtype=np.int64)
        if self.selection is not None:
            rows = self.selection[rows]
        return [Tensor._wrap(np.take(array, rows, axis=0)) for array in self.arrays]


def tensor_fetcher(dataset: Any, collate: Callable) -> TensorFetcher | None:
    """The quick fetcher where it does the same as the general one, else None."""
    if collate is not default_collate:
        return None
    selection = None
    # Only the classes themselves: a subclass may give other samples.
    while type(dataset) is Subset:
        indices = np.asarray(dataset.indices)
        if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
            return None
        selection = indices if selection is None else indices[selection]
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset or not dataset.tensors:
        return None
    for tensor in dataset.tensors:
        if type(tensor) is not Tensor or tensor._requires_grad or type(tensor._data) is not np.ndarray:
            return None
    return TensorFetcher([tensor._data for tensor in dataset.tensors], selection)


def make_fetcher(iterable: bool, dataset: Any, auto: bool, collate: Callable, drop_last: bool) -> Any:
    if iterable:
        return IterableFetcher(dataset, auto, collate, drop_last)
    quick = tensor_fetcher(dataset, collate) if auto else None
    return quick or MapFetcher(dataset, auto, collate, drop_last)


def warn_if_longer(loader: Any, yielded: int) -> None:
    """Warn when an iterable dataset gives more than its ``__len__`` announced."""
    announced = loader._announced_length
    if announced is None or yielded <= announced:
        return
    text = (
        f"Length of IterableDataset {loader.dataset} was reported to be {announced}(when accessing len(dataloader)), "
        f"but {yielded} samples have been fetched. "
    )
    if loader.num_workers > 0:
        text += (
            "For multiprocessing data-loading, this could be caused by not properly configuring the IterableDataset "
            "replica at each worker. Please see https://pytorch.org/docs/stable/data.html#torch.utils.data."
            "IterableDataset for examples."
        )
    warnings.warn(text, stacklevel=3)
