"""Stores: whole or absent, full in one way, and copies of remote objects that stay bounded."""

import errno
import hashlib
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from botocore.exceptions import ClientError

from schemas import _cache, _stores
from schemas._stores import Store, StoreFull, is_store_full


def at(folder):
    folder.mkdir(exist_ok=True)
    return Store({"protocol": "file", "location": str(folder)})


def test_a_write_that_fails_halfway_leaves_no_name(tmp_path, monkeypatch):
    store = at(tmp_path / "store")
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    for name in ("a", "inner/b"):
        (source / name).write_bytes(b"12345")

    def fail(handle):
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(_stores.os, "fsync", fail)
    with pytest.raises(OSError, match="input/output"):
        store.put_buffer(b"12345", "x/y.npy")
    with pytest.raises(OSError, match="input/output"):
        store.put_folder(source, "x/folder")
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    monkeypatch.undo()
    store.put_folder(source, "x/folder")
    assert (tmp_path / "store/x/folder/inner/b").read_bytes() == b"12345"


def test_everything_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    store, synced = at(tmp_path / "store"), []
    true = os.fsync

    def note(handle):
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        named = (tmp_path / "store/x/y.npy").exists()
        synced.append((path.name.endswith(_stores.PARTIAL), named))
        true(handle)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("which file a handle stands for is told by /proc only")
    monkeypatch.setattr(_stores.os, "fsync", note)
    store.put_buffer(b"12345", "x/y.npy")
    assert synced == [(True, False), (False, True)]  # the content, then its name


def client_error(code, status=400):
    told = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(told, "PutObject")


def caused(error):
    """As s3fs raises it: an OSError that names its cause."""
    outer = OSError(errno.EIO, "s3")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "no space"), True),
        (OSError(errno.EDQUOT, "quota"), True),
        (OSError(errno.EIO, "broken"), False),
        (caused(client_error("QuotaExceeded")), True),
        (caused(client_error("XMinioStorageFull", 507)), True),
        (caused(client_error("Whatever", 507)), True),
        (caused(client_error("AccessDenied", 403)), False),
        (StoreFull(errno.ENOSPC, "full"), True),
        (ValueError("No space left on device"), False),
        (None, False),
    ],
)
def test_a_full_disk_quota_or_bucket_is_known_as_full(error, full):
    assert is_store_full(error) is full


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_store_is_one_exception_that_says_where_and_how_much(tmp_path, monkeypatch, code):
    def fail(handle):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(_stores.os, "fsync", fail)
    with pytest.raises(StoreFull, match=r"store.* has no room for 5 bytes.*fieldbase gc") as caught:
        at(tmp_path / "store").put_buffer(b"12345", "x/y.npy")
    assert is_store_full(caught.value)
    assert caught.value.errno == errno.ENOSPC


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache that may hold 1000 bytes."""
    monkeypatch.setenv("FIELDBASE_HOME", str(tmp_path))
    monkeypatch.setenv("FIELDBASE_CACHE_GB", "1e-6")
    return tmp_path / "cache" / "objects"


def keep(name, size, *, age_s=0.0, kind="arrays"):
    path = _cache.cached(name, kind, size, lambda partial: partial.write_bytes(bytes(size)))
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def test_copies_that_were_not_used_for_longest_go_first(cache):
    old, newer = keep("old", 400, age_s=500), keep("newer", 400, age_s=300)
    keep("old", 400)  # used again
    fresh = keep("fresh", 400)
    assert old.exists()
    assert fresh.exists()
    assert not newer.exists()


def test_a_copy_just_asked_for_stays_whatever_the_bound(cache):
    first, second = keep("first", 900), keep("second", 900)
    assert first.exists()
    assert second.exists()


def test_a_copy_is_fetched_once_and_one_cut_short_is_not_taken_for_it(cache):
    def fetch(partial):
        partial.write_bytes(b"12")
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        _cache.cached("x", "arrays", 4, fetch)
    assert not list((cache / "arrays").iterdir())
    assert keep("x", 4).stat().st_size == 4
    again = _cache.cached("x", "arrays", 4, fetch)
    assert again.stat().st_size == 4


def test_a_partial_copy_of_a_process_long_gone_is_cleared(cache):
    keep("x", 4)
    left = cache / "arrays" / f"y.00{_stores.PARTIAL}"
    left.write_bytes(b"12")
    os.utime(left, (0, 0))
    writing = cache / "arrays" / f"z.00{_stores.PARTIAL}"
    writing.write_bytes(b"12")
    keep("w", 4)
    assert not left.exists()
    assert writing.exists()


def test_a_disk_without_room_for_a_copy_is_told_as_full(cache):
    def fetch(partial):
        raise OSError(errno.ENOSPC, "no space left on device")

    with pytest.raises(StoreFull, match="FIELDBASE_CACHE_GB"):
        _cache.cached("x", "arrays", 4, fetch)


def test_a_store_on_s3_without_s3fs_says_the_line_that_installs_it(monkeypatch):
    spec = {"protocol": "s3", "endpoint": "nowhere:1", "bucket": "b", "location": "x"}
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setattr(sys.modules["fsspec.registry"], "_registry", {})
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'fieldbase\[s3\]'") as caught:
        _ = Store(spec).fs
    from workers.extras import missing

    assert "s3fs" in missing(caught.value)


def test_digests_do_not_depend_on_how_an_array_is_read(tmp_path):
    from schemas._digests import digest_arrays, digest_content

    array = np.random.default_rng(0).normal(size=(7, 1000, 200)).astype(np.float32)
    np.save(tmp_path / "x.npy", array)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected = hashlib.sha256(array.tobytes()).hexdigest()
    assert digest_content(array) == digest_content(mapped) == expected
    assert digest_content(np.asfortranarray(array)) == expected
    assert digest_arrays({"x": array}) == digest_arrays({"x": mapped, "y": None})
    assert digest_arrays({"x": array}) != digest_arrays({"y": array})
    assert digest_arrays({"x": array}) != digest_arrays({"x": array.reshape(7, 200, 1000)})
