"""Array and checkpoint stores whose objects are complete or absent.

A row is inserted after its objects, so what a killed process leaves is an orphan that no row names.
DataJoint 2.3.5 renames a finished file but does not wait for the disk, and copies a folder file by
file under its final name: after a power cut a row could name half of it. Here both reach the disk
first, and a store that is full says so in one way.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import datajoint.gc
import datajoint.hash_registry
from datajoint.errors import MissingExternalFile
from datajoint.storage import StorageBackend

S3_LINE = "pip install 'fieldbase[s3]'"
FULL_ERRNO = {errno.ENOSPC, errno.EDQUOT}
FULL_CODES = {  # of S3, Ceph and MinIO
    "QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded",
}  # fmt: skip
FULL_DATABASE = {1021, 1114}  # MySQL: disk full, table full
FULL_PGCODE = "53100"
PARTIAL = ".partial"


class StoreFull(OSError):
    """A store or a disk without room; nothing of what was being written counts."""


class ObjectGone(MissingExternalFile, FileNotFoundError):
    """What was to be read from a store is not there."""


def is_store_full(error: BaseException | None) -> bool:
    """Whether an error, or one it came from, says that a store, disk or quota is full."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, StoreFull) or _says_full(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _says_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in FULL_ERRNO:
        return True
    if getattr(error, "pgcode", None) == FULL_PGCODE:
        return True
    response = getattr(error, "response", None)  # botocore's ClientError
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status == 507 or response.get("Error", {}).get("Code") in FULL_CODES
    module = type(error).__module__.split(".")[0]
    return module == "pymysql" and bool(error.args) and error.args[0] in FULL_DATABASE


class Store(StorageBackend):
    """DataJoint's way to a store, with writes that are complete or absent."""

    def put_buffer(self, buffer: bytes, remote_path) -> None:
        """Write bytes under a name that is there only once all of them are on the disk."""
        with self._room_for(len(buffer)):
            if self.protocol == "file":
                with whole_file(Path(self._full_path(remote_path))) as file:
                    file.write(buffer)
            else:
                super().put_buffer(buffer, remote_path)

    def put_file(self, local_path, remote_path, metadata=None) -> None:
        """Write a file under a name that is there only once all of it is."""
        with self._room_for(Path(local_path).stat().st_size):
            super().put_file(local_path, remote_path, metadata)

    def put_folder(self, local_path, remote_path) -> dict[str, Any]:
        """Write a folder; on a disk its name is there only once all of it is."""
        total = sum(path.stat().st_size for path in Path(local_path).rglob("*") if path.is_file())
        with self._room_for(total):
            if self.protocol == "file":
                _write_folder(Path(local_path), Path(self._full_path(remote_path)))
            else:
                self._upload_folder(Path(local_path), self._full_path(remote_path))
        return {"total_size": total}

    def get_buffer(self, remote_path) -> bytes:
        """Read an object; its absence is a FileNotFoundError, as of any file."""
        try:
            return super().get_buffer(remote_path)
        except MissingExternalFile as error:
            raise ObjectGone(f"nothing is stored under {self.get_url(remote_path)}") from error

    def _upload_folder(self, source: Path, target: str) -> None:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                name = f"{target}/{path.relative_to(source).as_posix()}"
                self.fs.put_file(str(path), name)
                if self.fs.size(name) != path.stat().st_size:
                    raise OSError(f"{name} was stored with another size than {path} has")

    def _create_filesystem(self):
        try:
            return super()._create_filesystem()
        except ImportError as error:
            raise ModuleNotFoundError(
                f"a store of this configuration lies on S3, which needs s3fs: {S3_LINE}",
                name="s3fs",
            ) from error

    @contextmanager
    def _room_for(self, n_bytes: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not is_store_full(error):
                raise
            raise StoreFull(
                errno.ENOSPC,
                f"the store at {self.get_url('').rstrip('/')} has no room for {n_bytes} bytes; "
                "make room (`fieldbase gc` lists what nobody needs) or raise its quota, then go on",
            ) from error


def use_our_stores() -> None:
    """Let DataJoint's codecs and its collector reach every store through `Store`."""
    datajoint.hash_registry.get_store_backend = store_named
    datajoint.gc.get_store_backend = store_named


def store_named(name: str | None = None, config=None) -> Store:
    """The store of this name in the configuration."""
    if config is None:
        from datajoint.settings import config
    return Store(config.get_store_spec(name))


def reach_store(name: str) -> tuple[str, str]:
    """Where a store lies, and in a few words why it cannot be used, or nothing."""
    from datajoint.settings import config

    where = "not known"
    try:
        where = config.get_store_spec(name).get("location") or where
        store = store_named(name)
        where = store.get_url("").rstrip("/")
        if store.protocol == "file":
            writable = os.access(store._full_path(""), os.W_OK | os.X_OK)
            return where, "" if writable else "this user may not write there"
        store.fs.invalidate_cache()
        store.fs.ls(store.spec.get("bucket") or store._full_path(""))
    except ModuleNotFoundError as error:
        return where, str(error)
    except Exception as error:
        return where, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return where, ""


@contextmanager
def whole_file(target: Path) -> Iterator[BinaryIO]:
    """A file to write, under its name only once all of it is on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(target)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    sync_folder(target.parent)


def _write_folder(source: Path, target: Path) -> None:
    partial = _partial(target)
    try:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                copy = partial / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
                with copy.open("rb+") as file:
                    os.fsync(file.fileno())
                sync_folder(copy.parent)
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_folder(target.parent)


def _partial(target: Path) -> Path:
    """A name beside the target that no other process takes."""
    return target.with_name(f"{target.name}.{secrets.token_hex(4)}{PARTIAL}")


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
