"""What systemd starts: the same function as `cdc run`, with the options that stand before a command.

python daemon.py -c /etc/cdc/cdc.toml
"""

import sys

from cdc.cli import main

if __name__ == "__main__":
    sys.exit(main([*sys.argv[1:], "run"]))
