"""Words whose meaning decides what a name beside them is: programs of shells, functions of Python and JavaScript."""

from typing import Final


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


# --- programs ---------------------------------------------------------------------------------------------------------

BEFORE_PROGRAM: Final = _words(
    "if then else elif do while until ! time { exec sudo doas nohup env nice ionice command builtin eval setsid",
    "stdbuf chronic",
)
SAYS: Final = _words("echo printf logger : log warn warning die info error usage fail notify-send")
# They say something, look whether it is there, or take it away: none of them starts or brings back a script.
STARTS_NOTHING: Final = SAYS | _words(
    "rm unlink shred test [ [[ ls stat pkill pgrep kill killall grep egrep rg find git which type hash for case"
)
RUNS_OTHERS: Final = _words(
    "docker podman kubectl ssh su nsenter docker-compose xargs watch timeout flock screen tmux chroot runuser setpriv",
    "sh bash dash ash zsh ksh parallel at batch crontab systemd-run python python2 python3 pypy3 uv poetry pipenv pdm",
    "npx node deno bun conda docker-entrypoint.sh tini dumb-init gosu su-exec s6-setuidgid",
)
ENGLISH: Final = _words("at batch watch screen parallel timeout node make")
COPIES: Final = _words(
    "cp mv rsync scp sftp dd install rclone ln tar zip gzip smbclient lftp curl wget aws gsutil COPY ADD"
)
INSTALLS: Final = _words(
    "apt apt-get apk dnf yum opkg brew pip pip3 pipx npm yarn pnpm bun gem poetry uv conda mamba pacman zypper"
)
INSTALL_WORDS: Final = _words("install add i -S require")
SQLITE_PROGRAMS: Final = _words("sqlite3 sqlite sqlite-utils litestream sqlcipher sqldiff")

# --- packages ---------------------------------------------------------------------------------------------------------

PYTHON_DRIVERS: Final = _words("sqlite3 aiosqlite apsw pysqlite2 pysqlite3 sqlite_utils sqlitedict sqlcipher3")
JAVASCRIPT_DRIVERS: Final = _words(
    "sqlite3 sqlite better-sqlite3 node:sqlite bun:sqlite sql.js @libsql/client expo-sqlite connect-sqlite3 wa-sqlite",
    "@prisma/adapter-better-sqlite3 @sqlite.org/sqlite-wasm",
)
PACKAGES: Final = (
    PYTHON_DRIVERS
    | JAVASCRIPT_DRIVERS
    | _words("libsqlite3-dev libsqlite3-0 sqlite-dev sqlite-libs sqlite-utils pysqlite3-binary")
)

# --- Python -----------------------------------------------------------------------------------------------------------

PYTHON_LIBRARIES: Final = _words("django sqlalchemy playhouse tortoise langgraph airflow pony")
PYTHON_DIALECTS: Final = PYTHON_DRIVERS | _words("sqlite pysqlite sqlite_ext")
PYTHON_CLASSES: Final = _words("SqliteDatabase SqliteExtDatabase SqliteQueueDatabase APSWDatabase SqliteDict")
PYTHON_IMPORTS: Final = _words(
    "import_module __import__ run_module run_path import_string import_object find_spec locate patch"
)
PYTHON_EXECUTES: Final = _words(
    "system popen Popen run call check_call check_output getoutput getstatusoutput create_subprocess_exec",
    "create_subprocess_shell exec_command spawn startfile execl execle execlp execlpe execv execve execvp execvpe",
    "spawnl spawnlp spawnv spawnve spawnvp posix_spawn posix_spawnp sudo local",
)
PYTHON_RUNS_LATER: Final = _words(
    "do add_job submit Thread Process Timer create_task run_in_executor call_later call_soon call_at apply_async",
    "add_task to_thread run_repeating run_daily run_once run_custom run_monthly add_periodic_task enter enterabs",
    "enqueue schedule map start_new_thread ensure_future scheduled_job interval_task register",
)
PYTHON_SAYS: Final = _words(
    "print debug info warning warn error critical exception log echo secho fatal fail skip getLogger",
    "add_argument reply_text send_message answer",
)
PYTHON_SAID_ARGUMENTS: Final = _words("help description doc epilog usage metavar")
PYTHON_READS_ENVIRONMENT: Final = _words("getenv env config get_env environ_get getvar")
PYTHON_SETS_ENVIRONMENT: Final = _words("setenv putenv setdefault delenv unsetenv")

# --- JavaScript -------------------------------------------------------------------------------------------------------

BEFORE_PATTERN: Final = _words("return typeof case in of delete void throw new else do")
JAVASCRIPT_EXECUTES: Final = _words("exec execSync spawn spawnSync execFile execFileSync fork execa execaCommand $")
JAVASCRIPT_SAYS: Final = _words("log warn info debug error trace Error assert")
JAVASCRIPT_IMPORTS: Final = _words("require import from mock resolve")

# --- settings and folders ---------------------------------------------------------------------------------------------

ENGINE_KEYS: Final = _words(
    "engine client dialect type provider adapter driver backend database db connection kind vendor dbms"
)
# Made by programs from what is searched, or not the application's own.
FOLDERS_NOT_ENTERED: Final = _words(
    ".git .hg .svn node_modules bower_components __pycache__ .venv site-packages .tox .nox .mypy_cache .pytest_cache",
    ".ruff_cache .hypothesis .eggs .gradle .terraform",
)
