"""Type commands, each in a child process: ``python no_secrets_process.py COMMANDS.json``.

COMMANDS.json is a list of [extra environment, words]. What they print goes where ours does, after
a line ``$ number`` and before one ``= exit code``. Imports are made once.
"""

import json
import os
import sys
from pathlib import Path


def main() -> None:
    import datajoint  # noqa: F401

    import schemas  # noqa: F401
    import workers.export
    import workers.loop
    import workers.study.run  # noqa: F401
    from workers.cli import main as fieldbase

    for number, (environment, words) in enumerate(json.loads(Path(sys.argv[1]).read_text())):
        print(f"$ {number}", flush=True)
        pid = os.fork()
        if pid == 0:
            os.environ.update(environment)
            sys.argv = ["fieldbase", *words]
            code = 1
            try:
                fieldbase()
            except SystemExit as ended:
                code = ended.code or 0
            except BaseException as error:
                sys.excepthook(type(error), error, error.__traceback__)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) else 1)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(f"= {code}", flush=True)


if __name__ == "__main__":
    main()
