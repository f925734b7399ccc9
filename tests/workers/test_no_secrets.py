"""No password, key or signature is printed, logged or stored, whatever a person types."""

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SECRETS = {
    "DJ_PASS": "pa55-of-the-database",
    "S3": "s3cret-k3y-of-the-store",
    "DANDI_API_KEY": "d4ndi-api-k3y-0123456789",
    "user": "ann-of-the-url",
    "url": "pa55-in-the-url",
    "token": "s1gned-t0ken-in-a-query",
    "redirect": "s1gned-t0ken-of-a-redirect",
}
HERE = Path(__file__).parent


class Nasty(BaseHTTPRequestHandler):
    """Redirects to a signed place that is forbidden, and quotes what it was sent."""

    def do_GET(self):
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", f"/gone.nwb?X-Amz-Signature={SECRETS['redirect']}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = f"not with {self.headers.get('Authorization')} for {self.path}".encode()
        self.send_response(403, f"not with {self.headers.get('Authorization')}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@contextmanager
def nasty_server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Nasty)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def account(database):
    """Settings of an account of this server with a password to look for."""
    mysql = database.adapter.backend == "mysql"
    user, password = f"fbs_{os.getpid()}", SECRETS["DJ_PASS"]
    if mysql:
        database.query(f"CREATE USER '{user}'@'%%' IDENTIFIED BY '{password}'")
        database.query(f"GRANT ALL ON *.* TO '{user}'@'%%' WITH GRANT OPTION")
    else:
        database.query(f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{password}'")
    info = database.conn_info
    yield {
        "DJ_BACKEND": database.adapter.backend, "DJ_HOST": info["host"],
        "DJ_PORT": str(info["port"]), "DJ_USER": user, "DJ_PASS": password,
        "DJ_DATABASE_NAME": "fieldbase",
    }  # fmt: skip
    drop_fieldbase(database)
    if mysql:
        database.query(f"DROP USER '{user}'@'%%'")
    else:
        database.query(f"REASSIGN OWNED BY {user} TO CURRENT_USER")
        database.query(f"DROP OWNED BY {user}")
        database.query(f"DROP ROLE {user}")


def drop_fieldbase(database):
    from tests.conftest import drop_schemas

    drop_schemas(database, "fieldbase_")


def type_in(commands, folder, environment):
    """What each command printed; the last line is ``= exit code``."""
    (folder / "commands.json").write_text(json.dumps(commands))
    done = subprocess.run(
        [sys.executable, str(HERE / "no_secrets_process.py"), str(folder / "commands.json")],
        cwd=HERE.parents[1], env=os.environ | environment, text=True, timeout=1200,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    (folder / "commands.json").unlink()
    assert done.returncode == 0, done.stdout[-3000:]
    told = done.stdout.split("\n$ ")
    assert len(told) == len(commands)
    return {" ".join(words): said for (_, words), said in zip(commands, told, strict=True)}


def found_in(text):
    return sorted(name for name, secret in SECRETS.items() if secret in text)


def rows_with_secrets(database):
    """Names of tables of which a row holds a secret, and of the secrets."""
    import datajoint as dj

    found, seen = [], 0
    for name in dj.list_schemas(connection=database):
        if not name.startswith("fieldbase_"):
            continue
        quote = database.adapter.quote_identifier
        listed = database.query(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (name,)
        ).fetchall()
        for (table,) in listed:
            for row in database.query(f"SELECT * FROM {quote(name)}.{quote(table)}").fetchall():
                seen += 1
                found += [(table, secret) for secret in found_in(repr(row))]
    assert seen > 100
    return sorted(set(found))


def files_with_secrets(*folders):
    """Files that hold a secret and the secrets."""
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes().decode("latin-1")
                found += [(str(path), secret) for secret in found_in(content)]
    return found


def write_study(folder, name, recordings):
    """A study of vectors made elsewhere: the quickest there is."""
    lines = [
        f'study = {{name = "{name}"}}',
        'split = {by = "lab", validation = 0}',
        'model = [{name = "vectors", family = "external"}]',
        "analyses = {evaluation = {draws = 20}}",
        "[data]",
        f"recordings = {json.dumps(recordings)}",
        'modalities = ["features"]',
        'labels = "as_given"',
        'mapping = {features = ["power"], source = "lab", subject = "mouse", region = "region"}',
    ]
    (folder / f"{name}.toml").write_text("\n".join(lines))
    return str(folder / f"{name}.toml")


def write_vectors(path):
    lines = ["lab,mouse,region,power"]
    for lab in range(3):
        lines += [f"lab{lab},mouse {lab},CA1,{lab + 10}", f"lab{lab},mouse {lab},DG,{lab + 20}"]
    path.write_text("\n".join(lines))
    return str(path)


@pytest.fixture
def typed(account, database, tmp_path):
    """What was printed by the verbs, given secrets in every place that takes one."""
    home = tmp_path / "home"
    store = {
        "protocol": "s3", "endpoint": "127.0.0.1:9", "bucket": "fieldbase", "location": "x",
        "access_key": "access", "secret_key": SECRETS["S3"],
    }  # fmt: skip
    with nasty_server() as host:
        environment = account | {
            "FIELDBASE_HOME": str(home), "FIELDBASE_PATIENCE": "0", "FIELDBASE_RETRY": "0.1",
            "FIELDBASE_BEAT": "0.5", "DANDI_API_KEY": SECRETS["DANDI_API_KEY"],
            "DANDI_API_URL": f"http://{SECRETS['user']}:{SECRETS['url']}@{host}/api",
            "OMP_NUM_THREADS": "1", "DJ_LOG_LEVEL": "INFO",
        }  # fmt: skip
        signed = f"http://{host}/a.nwb?sig={SECRETS['token']}&x=1"
        named = f"http://{SECRETS['user']}:{SECRETS['url']}@{host}/a.nwb"
        small = write_study(tmp_path, "small", [write_vectors(tmp_path / "v.csv")])
        leaky = write_study(tmp_path, "leaky", [signed])
        wrong = {"DJ_STORES": json.dumps({"arrays": store})}
        broken = {"DJ_STORES": json.dumps({"arrays": store})[:-1] + ",}"}
        commands = [
            [{}, ["init"]],
            [{}, ["doctor", "--json"]],
            [wrong, ["doctor"]],
            [broken, ["status"]],
            [{"DJ_PORT": "1"}, ["status", "--json"]],
            [{"DJ_PORT": "port"}, ["errors"]],
            [{}, ["ingest", named]],
            [{}, ["ingest", signed]],
            [{}, ["ingest", f"https://{SECRETS['user']}@{host}/a.nwb?token={SECRETS['token']}"]],
            [{}, ["ingest", f"http://{host}/moved.nwb", f"http://{host}/b.nwb"]],
            [{}, ["ingest", f"http://{host}/moved.nwb", "--download", "--to", str(tmp_path / "w")]],
            [{}, ["ingest", "http://127.0.0.1:9/c.nwb", "--json"]],
            [{}, ["ingest", "dandi:000022"]],
            [{}, ["study", "run", leaky]],
            [{}, ["study", "plan", leaky]],
            [{}, ["study", "run", small]],
            [{}, ["study", "report", small, "--to", str(tmp_path / "report.html")]],
            [{}, ["export", "study", "small", "--to", str(tmp_path / "export")]],
            [{}, ["verify"]],
            [{}, ["grants", "--role", "worker", "--user", "ann"]],
            [{}, ["remove", "study", "small"]],
        ]
        first = type_in(commands, tmp_path, environment)
        leave_an_old_row(database, signed)
        told = type_in(
            [
                [{"DJ_LOG_LEVEL": "DEBUG"}, ["worker", "--lane", "all", "--until-idle"]],
                [wrong, ["worker", "--lane", "cpu", "--until-idle"]],
                [{}, ["errors"]],
                [{}, ["errors", "--json"]],
                [{}, ["status", "--json"]],
                [{}, ["retry"]],
            ],
            tmp_path, environment,
        )  # fmt: skip
    return first | told


def leave_an_old_row(database, signed):
    """A file as an older version registered it: its path is a signed URL."""
    quote = database.adapter.quote_identifier
    database.query(
        f"INSERT INTO {quote('fieldbase_session')}.{quote('nwb_file')} "
        "(nwb_file, path, file_kind, revision, registered) VALUES (%s, %s, 'nwb', 0, '2024-01-01')",
        ("f" * 64, signed),
    )


def test_secrets_are_neither_printed_nor_stored_nor_logged(typed, database, tmp_path):
    codes = {line: said.rpartition("= ")[2].strip() for line, said in typed.items()}
    assert codes["init"] == "0", typed["init"]
    assert {line for line, code in codes.items() if code == "0"} >= {
        "doctor --json", "verify", "remove study small", "grants --role worker --user ann",
        "errors", "status --json",
    }, typed  # fmt: skip
    assert "403" in typed["errors"], typed["errors"]
    assert "sig=***" in typed["errors --json"]
    assert {line: found_in(said) for line, said in typed.items() if found_in(said)} == {}
    old = [("nwb_file", "token")]  # the row itself, put there by hand
    assert rows_with_secrets(database) == old
    made = [tmp_path / name for name in ("home", "export", "w")]
    assert (tmp_path / "export" / "provenance.json").exists()
    assert files_with_secrets(*made) == []
    assert found_in((tmp_path / "report.html").read_text()) == []


def test_a_url_with_a_signature_is_refused_without_showing_it(tmp_path):
    from workers.archive.find import find_sources
    from workers.archive.found import SourceError

    with pytest.raises(SourceError, match=r"a\.nwb\?versionId=3&X-Amz-Signature=\*\*\* holds"):
        find_sources(["https://h.org/a.nwb?versionId=3&X-Amz-Signature=ab12"], base=tmp_path)
    plain = "https://h.org/a.nwb?versionId=3"
    assert find_sources([plain], base=tmp_path) == [plain]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("at s3://k:p@ss@b/x, http://u@h/y@z", "at s3://***@b/x, http://***@h/y@z"),
        ("'https://h/a?sv=1&sig=ab%2B&se=2'", "'https://h/a?sv=1&sig=***&se=2'"),
        ("https://h/a?access_token=1#part", "https://h/a?access_token=***#part"),
        ('{"secret_key": "k", "location": "l"}', '{"secret_key": "***", "location": "l"}'),
        ("{'password': 'p'}", "{'password': '***'}"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("ann@host.org wrote https://h/a@b?x=1", "ann@host.org wrote https://h/a@b?x=1"),
        ("fieldbase gc removes", "fieldbase gc removes"),
        ("the k3y-of-this-process", "the ***"),
    ],
)
def test_what_is_secret_in_a_text_is_hidden_and_nothing_else(text, left, monkeypatch):
    from pipeline.redact import redact

    monkeypatch.setenv("DJ_PASS", "fieldbase")  # a word: it cannot be told from others
    monkeypatch.setenv("DANDI_API_KEY", "k3y-of-this-process")
    assert redact(text) == left
    assert redact(left) == left


def test_doctor_finds_files_with_passwords_that_others_may_read(tmp_path):
    from workers.doctor import open_to_others

    config, secret = tmp_path / "datajoint.json", tmp_path / ".secrets" / "database.password"
    secret.parent.mkdir()
    secret.write_text("secret")
    config.write_text('{"database": {"host": "h", "password": "secret"}}')
    for mode, told in ((0o644, [config, secret]), (0o640, [config]), (0o600, [])):
        config.chmod(mode)
        secret.chmod(mode)
        assert open_to_others(config, secret.parent) == told
    config.chmod(0o644)
    config.write_text('{"database": {"host": "h"}}')
    assert open_to_others(config, None) == []
