"""The buckets that stores on S3 lie in."""

import datajoint as dj

from ._server import ServerError
from ._stores import store_named


def make_buckets() -> list[str]:
    """Make the buckets of the configured stores that are not there yet; their names.

    Raises
    ------
    ServerError
        In one sentence, without keys: the store does not answer or refuses.
    """
    made = []
    for name, spec in dj.config.stores.items():
        if not isinstance(spec, dict) or spec.get("protocol") != "s3":
            continue
        store, bucket = store_named(name), spec["bucket"]
        try:
            if not store.fs.exists(bucket):
                store.fs.mkdir(bucket)
                made.append(bucket)
        except ModuleNotFoundError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())
            raise ServerError(
                f"the bucket {bucket!r} of the store {name!r} at {spec['endpoint']} cannot be "
                f"reached or made ({reason}); check DJ_STORES and the keys of the store, or make "
                "the bucket yourself"
            ) from error
    return made
