"""What only looks like something that is left in a made-up code base, and must not be found."""

from typing import Final

from code_base import Case

LOOKALIKES: Final = (
    Case("a longer name before it", "my_nas_sync.py", "import os\n"),
    Case("a longer name behind it", "nas_synchronous.py", "import my_nas_sync\nfrom nas_synchronous import a\n"),
    Case("a test with the name in its own", "test_nas_sync_docs.py", "def test_nas_sync_docs():\n    pass\n"),
    Case("a backup of it", "nas_sync.py.bak", "x\n"),
    Case("another letter case", "NAS_SYNC.py", "x = 1\n"),
    Case("another ending", "nas_sync.pyx", "x = 1\n"),
    Case("a folder of its name", "docs/nas_sync.py/readme.html", "nothing\n"),
    Case(
        "comments and docstrings",
        "f_comments.py",
        '"""Once nas_sync.py ran here.\n\nsqlite3 was used.\n"""\n# import nas_sync\n# subprocess.run(["nas_sync.py"])\nx = 1\n',
    ),
    Case("a docstring of a function", "f_docstring.py", "def f():\n    'Runs python nas_sync.py no more.'\n"),
    Case(
        "messages",
        "f_messages.py",
        "print('python nas_sync.py is gone')\nlog.warning('nas_sync.py')\nraise RuntimeError('run nas_sync.py')\n",
    ),
    Case("a sentence", "f_sentence.py", "TEXT = 'The script nas_sync.py was removed in May.'\n"),
    Case(
        "variables like it",
        "f_variables.py",
        "sqlite3_like = 1\nnas_sync = 2\nprint(nas_sync)\nuse_sqlite = sqlite3_like\n",
    ),
    Case(
        "a longer module",
        "f_module.py",
        "import nas_sync_client\nimport sqlite3_like\nfrom my_sqlite3 import connect\n",
    ),
    Case("a module of its own beside it", "pkg/f_own.py", "from .sqlite3 import connect\nfrom . import apsw_like\n"),
    Case(
        "a function of the same name",
        "f_function.py",
        "def push():\n    pass\n\n\ndef other(push):\n    push()\n\n\npush()\nself.nas_sync()\n",
    ),
    Case("a word as a key", "f_key.py", "LABELS = {'nas_sync': 'old', 'sqlite': 'x'}\ngetLogger('nas_sync')\n"),
    Case("an assertion that it is gone", "f_gone.py", "assert not (ROOT / 'nas_sync.py').exists()\n"),
    Case("another database", "f_postgres.py", "URL = 'postgresql:///app'\nOTHER = 'mysqlite://x'\nN = 'nosqlite:x'\n"),
    Case("another address that names it", "f_prose.py", "HELP = 'sqlite: a database, sqlite3 as well'\n"),
    Case("other names of files", "f_files.py", "A = 'my_ytv2_content.db'\nB = 'ytv2_content.db.gz'\nC = 'Thumbs.db'\n"),
    Case(
        "another flag", "f_flag.py", "a = os.environ['READ_FROM_POSTGRES_HOST']\nb = os.getenv('XREAD_FROM_POSTGRES')\n"
    ),
    Case("a name as an attribute of something else", "f_attribute.py", "tool.nas_sync.push()\napp.sqlite3.connect()\n"),
    Case("comments in a shell", "g_comments.sh", "# python nas_sync.py\ntrue # sqlite3 app.db\n"),
    Case(
        "messages in a shell",
        "g_echo.sh",
        "echo 'run nas_sync.py'\nprintf 'nas_sync.py' >&2\necho nas_sync.py >> x.log\n",
    ),
    Case(
        "a look whether it is there",
        "g_gone.sh",
        "rm -f nas_sync.py\n[ ! -e nas_sync.py ] || exit 1\npkill -f nas_sync.py\n",
    ),
    Case(
        "longer names in a shell",
        "g_longer.sh",
        "python my_nas_sync.py\npython nas_sync.py.bak\npython -m nas_sync_x\n",
    ),
    Case("words like its shell", "g_words.sh", "sqlite3_like x\nmkdir sqlite\ncd sqlite\n./my-sqlite3 a\n"),
    Case("a message over lines", "g_usage.sh", "cat <<EOF\nusage: python nas_sync.py\nEOF\n"),
    Case("a crontab that is switched off", "etc/cron.d/off", "# 0 3 * * * root /srv/nas_sync.py\n"),
    Case("another job", "etc/cron.d/other", "0 3 * * * root /srv/my_nas_sync.py\n0 4 * * * root echo nas_sync.py\n"),
    Case(
        "another unit",
        "etc/systemd/system/web.service",
        "[Unit]\nDescription=Web, nas_sync.py is gone\n[Service]\n#ExecStart=/srv/nas_sync.py\nExecStart=/srv/web.py\n",
    ),
    Case("its timer", "etc/systemd/system/web.timer", "[Timer]\nOnCalendar=daily\n"),
    Case(
        "other services",
        "compose.other.yml",
        "services:\n  # command: python nas_sync.py\n  web:\n    command: python web.py # nas_sync.py\n"
        "    volumes:\n      - ./data/other.db:/x\n",
    ),
    Case("a recipe with comments", "Dockerfile.web", "FROM python\n# COPY nas_sync.py /app\nRUN pip install flask\n"),
    Case(
        "comments in JavaScript",
        "web/other.js",
        "// exec('nas_sync.py')\n/* require('sqlite3')\n import 'sqlite3' */\nconst x = /nas_sync.py'/;\nconst y = 4 / 2;\n"
        "console.log('python nas_sync.py');\nlet sqlite3 = 1;\nimport a from './sqlite3_like';\n",
    ),
    Case("another variable in JavaScript", "web/env.js", "const a = process.env.READ_FROM_POSTGRES_URL;\n"),
    Case("settings of others", "other.toml", '# dialect = "sqlite"\nname = "sqlite"\nhost = "pg" # nas_sync.py\n'),
    Case("variables of others", "other.env", "NOSQLITE=1\nMYSQLITEX=1\nREAD_FROM_POSTGRES_HOST=x\n"),
    Case("other packages", "requirements-dev.txt", "# aiosqlite\npytest-sqlite-like\nsqlalchemy>=2\n"),
    Case("documentation", "README.md", "Run `python nas_sync.py`, which uses sqlite3.\n"),
    Case("a text", "notes.txt", "nas_sync.py and ytv2_content.db\n"),
    Case("a lock file", "web/package-lock.json", '{"better-sqlite3": "9"}\n'),
    Case("no database although it is called so", "data/fake.db", "SQLite format 2\n"),
    Case("a file that only ends like a companion", "data/notes-wal", "text\n"),
    Case("what Git keeps", ".git/config", "[alias]\n\tsync = !python nas_sync.py\n"),
    Case("what others installed", "node_modules/x/index.js", "require('sqlite3')\n"),
    Case("an environment of Python", "venv/lib/x.py", "import sqlite3\n"),
    Case("that environment's mark", "venv/pyvenv.cfg", "home = /usr\n"),
)
