"""For all tests and docstrings: compiled code is cached in a folder of this run, shared by its workers."""

import os
import shutil
import tempfile


def pytest_configure(config):
    if not hasattr(config, "workerinput") and "CHAINRULE_CACHE" not in os.environ:
        config.cache_folder = os.environ["CHAINRULE_CACHE"] = tempfile.mkdtemp(prefix="chainrule-tests-")


def pytest_unconfigure(config):
    folder = getattr(config, "cache_folder", None)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
