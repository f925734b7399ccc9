"""A small DANDI archive on this machine: `python archive_server.py FOLDER` serves FOLDER.

It speaks the parts of the archive's API that fieldbase uses through the dandi client, hands out
blobs behind a redirect and by ranges, and fails where it is told to.
"""

import hashlib
import json
import re
import socket
import sys
import threading
import time
import uuid
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

WHEN = "2022-01-26T08:55:00Z"


@dataclass
class Asset:
    """One file of a dandiset; `etag` may lie."""

    path: str
    data: bytes
    etag: str = ""
    identifier: str = field(default_factory=lambda: str(uuid.uuid4()))
    blob: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self):
        self.size = len(self.data)
        self.true_etag = dandi_etag(self.data)
        self.etag = self.etag or self.true_etag

    def row(self):
        return {
            "asset_id": self.identifier, "blob": self.blob, "zarr": None, "path": self.path,
            "size": self.size, "created": WHEN, "modified": WHEN,
        }  # fmt: skip


def dandi_etag(data):
    """As the archive's documentation gives it: md5 of the md5 of each part of 64 MB."""
    parts = [data[i : i + (64 << 20)] for i in range(0, len(data), 64 << 20)]
    inner = b"".join(hashlib.md5(part).digest() for part in parts)
    return f"{hashlib.md5(inner).hexdigest()}-{len(parts)}"


class Archive(ThreadingHTTPServer):
    """Dandisets by id, their versions (the last is the most recent), and what goes wrong.

    `faults` has a list by piece of URL path: each request that holds the piece takes the first,
    ``...`` stays. A fault is a status code, or ``slow`` (never answers), ``busy`` (come again in a
    day), ``stalls`` (headers, and no body), ``cut`` (sends half),
    ``refuse ranges``, ``short`` (the file lost its last byte), ``flip`` (one byte is another),
    ``other part`` (a range is answered with what lies 1,000 bytes before it).
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.dandisets = {}
        self.faults = {}
        self.asked = []
        self.sent = Counter()
        self.page_size = 5
        self.token = None
        self.patience_s = 30.0
        self.connected = set()

    @property
    def api(self):
        return f"http://127.0.0.1:{self.server_address[1]}/api"

    def publish(self, dandiset, version, files):
        """Add a version; ``files`` maps paths to bytes or assets."""
        assets = [v if isinstance(v, Asset) else Asset(path, v) for path, v in files.items()]
        self.dandisets.setdefault(dandiset, {})[version] = {a.path: a for a in assets}
        return {asset.path: asset for asset in assets}

    def asset(self, identifier):
        for versions in self.dandisets.values():
            for assets in versions.values():
                for asset in assets.values():
                    if identifier in (asset.identifier, asset.blob):
                        return asset
        return None

    def fault_of(self, path):
        for piece, faults in self.faults.items():
            if piece in path and faults:
                return faults[0] if faults[1:] == [...] else faults.pop(0)
        return None

    def handle_error(self, request, client_address):
        """A client that hangs up is no news."""

    def process_request(self, request, client_address):
        self.connected.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.connected.discard(request)
        super().shutdown_request(request)

    def server_close(self):
        """End kept connections too: the next archive may come by the same port."""
        super().server_close()
        for connection in list(self.connected):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        split = urlsplit(self.path)
        path, query = unquote(split.path), {k: v[0] for k, v in parse_qs(split.query).items()}
        self.server.asked.append(f"{path} {self.headers.get('Range', '')}".strip())
        fault = self.server.fault_of(path)
        if fault == "slow":
            time.sleep(self.server.patience_s)
            self.close_connection = True
        elif fault == "busy":
            self._reply({"detail": "busy"}, 503, {"Retry-After": "86400"})
        elif fault == "stalls":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            time.sleep(self.server.patience_s)
            self.close_connection = True
        elif isinstance(fault, int):
            self._reply({"detail": "fault"}, fault)
        elif path.startswith("/blobs/"):
            self._blob(path.removeprefix("/blobs/"), fault)
        else:
            self._api(path.removeprefix("/api"), query)

    def _api(self, path, query):
        token = self.headers.get("Authorization")
        closed = self.server.token and path not in ("/info/", "/server-info")
        if closed and token != f"token {self.server.token}":
            return self._reply({"detail": "no"}, 401)
        for pattern, answer in ROUTES:
            found = re.fullmatch(pattern, path)
            if found:
                body = answer(self, query, *found.groups())
                return self._reply(body, 404 if body is None else 200) if body != 302 else None
        return self._reply(None, 404)

    def _info(self, query):
        services = {"api": {"url": self.server.api}}
        bounds = {"cli-minimal-version": "0.60.0", "cli-bad-versions": []}
        return {"version": "0.3", "services": services, **bounds}

    def _token(self, query):
        return {"token": self.server.token}

    def _dandiset(self, query, name):
        versions = self.server.dandisets.get(name)
        if versions is None:
            return None
        published = [v for v in versions if v != "draft"]
        return {
            "identifier": name, "created": WHEN, "modified": WHEN, "contact_person": "N. N.",
            "embargo_status": "OPEN", "draft_version": self._about("draft", {}),
            "most_recent_published_version":
                self._about(published[-1], versions[published[-1]]) if published else None,
        }  # fmt: skip

    def _version(self, query, name, version):
        assets = self.server.dandisets.get(name, {}).get(version)
        errors = {"asset_validation_errors": [], "version_validation_errors": []}
        return None if assets is None else self._about(version, assets) | errors

    def _about(self, version, assets):
        return {
            "version": version, "name": "made", "asset_count": len(assets),
            "size": sum(a.size for a in assets.values()), "created": WHEN, "modified": WHEN,
            "status": "Valid",
        }  # fmt: skip

    def _assets(self, query, name, version):
        assets = self.server.dandisets.get(name, {}).get(version)
        if assets is None:
            return None
        glob = re.escape(query.get("glob", "*")).replace(r"\*", ".*")
        rows = [
            asset.row() for path, asset in sorted(assets.items())
            if re.fullmatch(glob, path) and path.startswith(query.get("path", ""))
        ]  # fmt: skip
        page, size = int(query.get("page", 1)), self.server.page_size
        after = f"{self.server.api}/dandisets/{name}/versions/{version}/assets/?"
        others = "".join(f"&{k}={v}" for k, v in query.items() if k != "page")
        more = f"{after}page={page + 1}{others}" if page * size < len(rows) else None
        shown = rows[(page - 1) * size : page * size]
        return {"count": len(rows), "next": more, "previous": None, "results": shown}

    def _metadata(self, query, name, version, identifier):
        asset = self.server.asset(identifier)
        if asset is None:
            return None
        digest = {"dandi:dandi-etag": asset.etag}
        urls = [f"{self.server.api}/assets/{asset.identifier}/download/"]
        return {
            "id": f"dandiasset:{asset.identifier}", "path": asset.path, "contentUrl": urls,
            "contentSize": asset.size, "digest": digest,
        }  # fmt: skip

    def _download(self, query, identifier):
        asset = self.server.asset(identifier)
        if asset is None:
            return None
        self.send_response(302)
        self.send_header("Location", f"/blobs/{asset.blob}/{asset.path}")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return 302

    def _blob(self, name, fault):
        asset = self.server.asset(name.partition("/")[0])
        if asset is None:
            return self._reply(None, 404)
        data = asset.data[:-1] if fault == "short" else asset.data
        mark = asset.true_etag
        if fault == "flip":
            data = data[:-1] + bytes([data[-1] ^ 255])
            mark = dandi_etag(data)
        first, last, asked = 0, len(data) - 1, self.headers.get("Range")
        if asked and fault != "refuse ranges":
            begin, _, end = asked.removeprefix("bytes=").partition("-")
            first, last = int(begin), min(int(end or last), last)
            if fault == "other part":
                first = max(0, first - 1000)
            if first > last:
                return self._reply(None, 416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("ETag", f'"{mark}"')
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        body = memoryview(data)[first : last + 1]
        if fault == "cut" and len(body) > 1:
            body, self.close_connection = body[: len(body) // 2], True
        if self.command == "GET":
            self.wfile.write(body)
            self.server.sent[asset.path] += len(body)

    def _reply(self, body, code=200, more=()):
        text = json.dumps(body).encode()
        self.send_response(code)
        for name, value in dict(more).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(text)

    def log_message(self, *args):
        pass


ROUTES = (
    (r"/info/", Handler._info),
    (r"/auth/token", Handler._token),
    (r"/dandisets/(\d+)/", Handler._dandiset),
    (r"/dandisets/(\d+)/versions/([\w.]+)/info/", Handler._version),
    (r"/dandisets/(\d+)/versions/([\w.]+)/assets/", Handler._assets),
    (r"/dandisets/(\d+)/versions/([\w.]+)/assets/([\w-]+)/", Handler._metadata),
    (r"/assets/([\w-]+)/download/", Handler._download),
)


@contextmanager
def serve(port=0):
    """A running archive, empty."""
    with Archive(port) as archive:
        thread = threading.Thread(target=archive.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield archive
        archive.shutdown()
        thread.join()


if __name__ == "__main__":
    with serve(int(sys.argv[2]) if len(sys.argv) > 2 else 0) as archive:
        for folder in sorted(p for p in Path(sys.argv[1]).iterdir() if p.is_dir()):
            files = {
                p.relative_to(folder).as_posix(): p.read_bytes()
                for p in sorted(folder.rglob("*.nwb"))
            }
            archive.publish(folder.name, "0.220126.0855", files)
        print(f"export DANDI_API_URL={archive.api}", flush=True)
        threading.Event().wait()
