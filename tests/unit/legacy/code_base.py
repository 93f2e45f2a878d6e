"""What has to be found in a made-up code base: files, and lines of them by the kind of what is left there."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

SCRIPTS: Final = ("sync_sqlite_db.py", "nas_sync.py")
FLAG: Final = "READ_FROM_POSTGRES"
DATABASE: Final = "ytv2_content.db"
MAGIC: Final = b"SQLite format 3\x00" + bytes(84)


class Case(NamedTuple):
    """A file and what is expected of its lines: the number, 0 for the whole file, and the word of the kind."""

    name: str
    path: str
    content: str | bytes
    expected: tuple[tuple[int, str], ...] = ()


REMAINS: Final = (
    Case("the script itself", "sync_sqlite_db.py", "import sqlite3\nimport nas_sync\n", ((0, "script"),)),
    Case("the other script, deeper", "tools/nas/nas_sync.py", "print('x')\n", ((0, "script"),)),
    Case("a script that does not parse", "old/nas_sync.py", "print 'python 2'\n", ((0, "script"),)),
    Case("a compiled script without its source", "lib/nas_sync.pyc", b"\xa7\r\r\n\0\0", ((0, "script"),)),
    Case("an import", "a_import.py", "import os\nimport nas_sync\n", ((2, "call"),)),
    Case("an import of a part", "a_from.py", "from tools.nas.nas_sync import push\n", ((1, "call"),)),
    Case(
        "an import out of a package",
        "a_package.py",
        "from tools.nas import nas_sync as n\nn.push()\n",
        (
            (1, "call"),
            (2, "call"),
        ),
    ),
    Case(
        "a relative import in a function",
        "tools/a_lazy.py",
        "def f():\n    from .nas import nas_sync\n",
        ((2, "call"),),
    ),
    Case(
        "an import by name",
        "a_importlib.py",
        "import importlib\nimportlib.import_module('tools.nas.nas_sync')\n",
        ((2, "call"),),
    ),
    Case("an import by a built-in", "a_dunder.py", "m = __import__('nas_sync')\n", ((1, "call"),)),
    Case("runpy", "a_runpy.py", "import runpy\nrunpy.run_path(str(ROOT / 'nas_sync.py'))\n", ((2, "call"),)),
    Case("the source executed", "a_exec.py", "exec(open('nas_sync.py').read())\n", ((1, "call"),)),
    Case(
        "a program as a list",
        "b_list.py",
        "import subprocess, sys\nsubprocess.run(\n    [\n        sys.executable,\n        'sync_sqlite_db.py',\n    ]\n)\n",
        ((5, "call"),),
    ),
    Case(
        "a program as a text",
        "b_text.py",
        "import os\nos.system('cd /srv && python3 sync_sqlite_db.py --full &')\n",
        ((2, "call"),),
    ),
    Case("a module as a list", "b_module.py", "run(['python', '-m', 'tools.nas.nas_sync'])\n", ((1, "call"),)),
    Case("a path put together", "b_path.py", "SYNC = BASE / 'tools' / 'nas_sync.py'\n", ((1, "call"),)),
    Case(
        "a text with a value in it",
        "b_fstring.py",
        "cmd = f'python3 {base}/nas_sync.py --host {host}'\n",
        ((1, "call"),),
    ),
    Case("a blank that no shell knows", "b_blank.py", "os.system('python\u00a0nas_sync.py')\n", ((1, "call"),)),
    Case(
        "asyncio",
        "b_async.py",
        "async def f():\n    await create_subprocess_exec('python3', '/srv/nas_sync.py')\n",
        ((2, "call"),),
    ),
    Case("over ssh", "b_ssh.py", "client.exec_command('sudo python3 /volume1/nas_sync.py')\n", ((1, "call"),)),
    Case(
        "a job of schedule",
        "c_schedule.py",
        "import schedule\nfrom nas_sync import push\nschedule.every(5).minutes.do(push, host='nas')\n",
        ((2, "call"), (3, "job")),
    ),
    Case(
        "a job of apscheduler by name",
        "c_apscheduler.py",
        "scheduler.add_job('nas_sync:push', 'interval', minutes=5)\n",
        ((1, "job"),),
    ),
    Case(
        "a thread",
        "c_thread.py",
        "import nas_sync\nthreading.Thread(target=nas_sync.main, daemon=True).start()\n",
        (
            (1, "call"),
            (2, "job"),
        ),
    ),
    Case(
        "Python that does not parse",
        "broken.py",
        "import sqlite3\nprint 'x'\nos.system('python nas_sync.py')  # nas\n",
        (
            (1, "SQLite in code"),
            (3, "call"),
        ),
    ),
    Case("a notebook", "explore.ipynb", '{"cells": [{"source": [\n"!python nas_sync.py\\n"\n]}]}\n', ((2, "call"),)),
    Case(
        "the driver",
        "d_driver.py",
        "import sqlite3\n\n\ndef rows():\n    return sqlite3.connect(PATH)\n",
        (
            (1, "SQLite in code"),
            (5, "SQLite in code"),
        ),
    ),
    Case(
        "other drivers",
        "d_others.py",
        "import aiosqlite\nfrom apsw import Connection\nfrom peewee import SqliteDatabase\nimport sqlalchemy.dialects.sqlite\n",
        ((1, "SQLite in code"), (2, "SQLite in code"), (3, "SQLite in code"), (4, "SQLite in code")),
    ),
    Case("an address", "d_address.py", "engine = create_engine('sqlite:///data/x.db')\n", ((1, "address"),)),
    Case("an asynchronous address", "d_async.py", "URL = f'sqlite+aiosqlite:///{path}'\n", ((1, "address"),)),
    Case(
        "Django's engine",
        "d_django.py",
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3'}}\n",
        ((1, "address"),),
    ),
    Case("the file's name", "d_name.py", f"DB = os.path.join(DATA, '{DATABASE}')\n", ((1, "name of the file"),)),
    Case(
        "a variable about SQLite that is read", "d_env.py", "PATH = os.environ['SQLITE_DB_PATH']\n", ((1, "address"),)
    ),
    Case(
        "flags that are read",
        "e_flags.py",
        f"a = os.environ['{FLAG}']\nb = os.getenv('{FLAG}', 'false')\nc = os.environ.get(\n    '{FLAG}'\n)\n",
        ((1, "flag that is read"), (2, "flag that is read"), (4, "flag that is read")),
    ),
    Case(
        "a flag as a field of settings",
        "e_settings.py",
        "class S(BaseSettings):\n    read_from_postgres: bool = False\n",
        ((2, "flag that is read"),),
    ),
    Case(
        "a flag that is set",
        "e_set.py",
        f"os.environ['{FLAG}'] = 'true'\nrun(x, env={{'{FLAG}': 'true'}})\n",
        (
            (1, "flag that is set"),
            (2, "flag that is set"),
        ),
    ),
    Case("the flag's module", "e_module.py", "from cdc.flag import Flag\n", ((1, "flag that is read"),)),
    Case(
        "a shell script",
        "run.sh",
        "#!/bin/sh\nset -e\nif true; then\n  cd /srv && nohup python3 nas_sync.py \\\n    --full &\nfi\n",
        ((4, "call"),),
    ),
    Case(
        "a shell script by its first line",
        "bin/nightly",
        "#!/usr/bin/env bash\nexec python3 -m tools.nas.nas_sync\n",
        ((2, "call"),),
    ),
    Case("the shell of SQLite", "dump.sh", f"sqlite3 /data/{DATABASE} .dump | gzip > x.gz\n", ((1, "SQLite in code"),)),
    Case(
        "the file copied",
        "push.sh",
        f'rsync -az nas:/volume1/{DATABASE} /srv/data/\nscp /srv/{DATABASE} nas:/volume1/\ncp "$D/{DATABASE}" backup/\n',
        ((1, "copy of the file"), (2, "copy of the file"), (3, "copy of the file")),
    ),
    Case(
        "a flag in a shell",
        "start.sh",
        f'[ "${{{FLAG}:-false}}" = true ] && exec app\nexport {FLAG}=true\n',
        (
            (1, "flag that is read"),
            (2, "flag that is set"),
        ),
    ),
    Case(
        "Python within a shell",
        "inline.sh",
        "python3 - <<'EOF'\nimport sqlite3\nimport nas_sync\nEOF\necho done\n",
        (
            (2, "SQLite in code"),
            (3, "call"),
        ),
    ),
    Case(
        "a crontab written by a shell",
        "install.sh",
        "echo '*/5 * * * * python3 /srv/nas_sync.py' | crontab -\n",
        ((1, "call"),),
    ),
    Case(
        "a user's crontab",
        "crontab",
        "MAILTO=me\n# comment\n*/15 * * * * cd /srv && python3 nas_sync.py >> /var/log/x.log 2>&1\n",
        ((3, "schedule"),),
    ),
    Case("at boot", "crontab.nas", "@reboot /usr/bin/python3 /volume1/sync_sqlite_db.py\n", ((1, "schedule"),)),
    Case("a table of the system", "etc/cron.d/ytv2", "0 3 * * * root /srv/nas_sync.py\n", ((1, "schedule"),)),
    Case(
        "a unit",
        "etc/systemd/system/nas-sync.service",
        "[Service]\nEnvironment=SQLITE_DB_PATH=/data/x\nExecStart=-/usr/bin/python3 /srv/nas_sync.py \\\n  --full\n",
        ((2, "address"), (3, "schedule")),
    ),
    Case(
        "its timer",
        "etc/systemd/system/nightly.timer",
        "[Timer]\nOnCalendar=daily\nUnit=nas-sync.service\n",
        ((2, "schedule"),),
    ),
    Case("a timer by its name", "etc/systemd/system/nas-sync.timer", "[Timer]\nOnCalendar=*:0/5\n", ((2, "schedule"),)),
    Case(
        "compose",
        "docker-compose.yml",
        'services:\n  sync:\n    command: ["python", "nas_sync.py"]\n    volumes:\n'
        f"      - ./data/{DATABASE}:/app/data.db:ro\n    environment:\n      - DATABASE_URL=sqlite:////app/data.db\n"
        f"      - {FLAG}=true\n  bot:\n    entrypoint:\n      - python\n      - -m\n      - tools.nas.nas_sync\n",
        ((3, "schedule"), (5, "mount"), (7, "address"), (8, "flag that is set"), (13, "schedule")),
    ),
    Case(
        "a recipe of an image",
        "Dockerfile",
        f"FROM python:3.11\nRUN apt-get update && \\\n    apt-get install -y sqlite3 curl\nCOPY nas_sync.py {DATABASE} /app/\n"
        f'ENV {FLAG}=true\nVOLUME /data/{DATABASE}\nCMD ["python", "/app/nas_sync.py"]\n',
        ((3, "package"), (4, "call"), (4, "copy of the file"), (5, "flag that is set"), (6, "mount"), (7, "schedule")),
    ),
    Case(
        "a Makefile",
        "Makefile",
        "SCRIPT = nas_sync.py\nall:\n\t@echo nas_sync.py\n\t$(PYTHON) sync_sqlite_db.py\n",
        (
            (1, "call"),
            (4, "call"),
        ),
    ),
    Case(
        "package.json",
        "web/package.json",
        '{\n  "scripts": {\n    "sync": "python ../nas_sync.py"\n  },\n  "dependencies": {\n    "better-sqlite3": "^9"\n  }\n}\n',
        ((3, "call"), (6, "package")),
    ),
    Case("a Procfile", "Procfile", "web: gunicorn app\nsync: python nas_sync.py\n", ((2, "schedule"),)),
    Case("supervisor", "supervisord.conf", "[program:sync]\ncommand=python3 /srv/nas_sync.py\n", ((2, "schedule"),)),
    Case(
        "a workflow",
        ".github/workflows/sync.yml",
        "on:\n  schedule:\n    - cron: '0 * * * *'\njobs:\n  sync:\n    steps:\n      - run: |\n          pip install x\n"
        "          # python nas_sync.py of old\n          python nas_sync.py\n",
        ((10, "schedule"),),
    ),
    Case(
        "a job of Kubernetes",
        "k8s.yaml",
        'kind: CronJob\nspec:\n  containers:\n  - name: sync\n    args: ["-m", "nas_sync"]\n',
        ((5, "schedule"),),
    ),
    Case(
        "an environment",
        ".env",
        f"DATABASE_URL=sqlite:///data/x\nSQLITE_DB_PATH=/data/x\n{FLAG}=true\nOTHER=1\n",
        (
            (1, "address"),
            (2, "address"),
            (3, "flag that is set"),
        ),
    ),
    Case(
        "settings",
        "config.toml",
        f'[database]\npath = "data/{DATABASE}"  # here\ndialect = "sqlite"\n',
        (
            (2, "name of the file"),
            (3, "address"),
        ),
    ),
    Case(
        "Rails",
        "config/database.yml",
        "production:\n  adapter: sqlite3\n  database: db/production.sqlite3\n",
        (
            (2, "address"),
            (3, "name of the file"),
        ),
    ),
    Case(
        "JavaScript",
        "web/db.ts",
        "import Database from 'better-sqlite3';\nconst knex = { client: 'sqlite3' };\n"
        f"if (process.env.{FLAG} === 'true') {{}}\nconst {{ {FLAG} }} = process.env;\n",
        ((1, "SQLite in code"), (2, "address"), (3, "flag that is read"), (4, "flag that is read")),
    ),
    Case(
        "JavaScript that starts it",
        "web/sync.js",
        "const { exec, spawn } = require('child_process');\nexec('python3 nas_sync.py --full');\n"
        "spawn('python3', ['-m', 'nas_sync']);\nspawn(py, [`${base}/nas_sync.py`]);\n",
        ((2, "call"), (3, "call"), (4, "call")),
    ),
    Case("packages", "requirements.txt", "flask==3\naiosqlite>=0.19  # async\n", ((2, "package"),)),
    Case("an entry point", "pyproject.toml", '[project.scripts]\nnas-sync = "nas_sync:main"\n', ((2, "call"),)),
    Case(
        "PHP",
        "web/index.php",
        "<?php\n$db = new SQLite3('x');\n$p = new PDO('sqlite:/data/x');\n",
        (
            (2, "SQLite in code"),
            (3, "address"),
        ),
    ),
    Case("a hook of Git", ".git/hooks/post-merge", "#!/bin/sh\npython nas_sync.py\n", ((2, "call"),)),
    Case("a file that is only opened elsewhere", "opens.yml", "url: sqlite:///srv/seen.db\n", ((1, "address"),)),
    Case("and named here", "copies.sh", "cp seen.db /backup/\n", ((1, "copy of the file"),)),
    Case("a database", f"data/{DATABASE}", MAGIC, ((0, "database file"),)),
    Case("a database with another ending", "data/cache.dat", MAGIC, ((0, "database file"),)),
    Case("its companions", f"data/{DATABASE}-wal", b"7\x7f\x06\x82", ((0, "companion file"),)),
    Case("a journal that was left", f"data/{DATABASE}-journal", b"\xd9\xd5\x05\xf9", ((0, "companion file"),)),
)


def write(root: Path, cases: Iterable[Case]) -> None:
    """Write files below a folder."""
    for case in cases:
        path = root / case.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
