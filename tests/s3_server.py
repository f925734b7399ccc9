"""An S3 server of moto's on this machine, and the stores of a database in a bucket of it."""

import json
from contextlib import contextmanager

import boto3
from moto.server import ThreadedMotoServer

SECRET = {"aws_access_key_id": "lab", "aws_secret_access_key": "lab-secret"}


@contextmanager
def s3_server():
    """A server without any bucket: where it is, as host and port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        yield "{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


@contextmanager
def s3_bucket():
    """An empty bucket, as DJ_STORES of both stores, and a client of its server."""
    with s3_server() as endpoint:
        where = {"endpoint_url": f"http://{endpoint}", "region_name": "us-east-1"}
        client = boto3.client("s3", **where, **SECRET)
        client.create_bucket(Bucket="lab")
        store = {
            "protocol": "s3", "endpoint": endpoint, "bucket": "lab", "secure": False,
            "access_key": "lab", "secret_key": "lab-secret",
        }  # fmt: skip
        names = ("arrays", "checkpoints")
        yield json.dumps({name: store | {"location": name} for name in names}), client
