"""A hub on this machine: repositories are folders, served as huggingface_hub asks for them."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve(root: Path):
    """Serve ``root/<user>/<model>``; yields the address and the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            path = self.path.partition("?")[0].strip("/")
            if path.startswith("api/models/"):
                parts = path.split("/")
                return self._describe("/".join(parts[2:4]), "tree" in parts[4:5])
            user, model, _, _, name = path.split("/", 4)
            file = root / user / model / name
            if not file.is_file():
                return self._send(404, b"", {})
            content = file.read_bytes()
            mark = hashlib.sha256(content).hexdigest()
            return self._send(200, content, {"ETag": f'"{mark}"', "X-Repo-Commit": COMMIT})

        do_HEAD = do_GET

        def _describe(self, name, as_tree):
            folder = root / name
            if not folder.is_dir():
                return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            files = {str(p.relative_to(folder)): p.stat().st_size for p in folder.rglob("*")}
            tree = [{"type": "file", "path": f, "size": n, "oid": f} for f, n in files.items()]
            told = {"id": name, "modelId": name, "sha": COMMIT, "tags": []}
            told["siblings"] = [{"rfilename": file} for file in files]
            content = json.dumps(tree if as_tree else told).encode()
            return self._send(200, content, {"Content-Type": "application/json"})

        def _send(self, code, content, headers):
            self.send_response(code)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
