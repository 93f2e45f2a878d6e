"""HOST:PORT as it is written in the configuration."""

import ipaddress


def host_and_port(listen: str) -> tuple[str, int]:
    """Both parts; an address of IPv6 stands in brackets. Raises `ValueError` when it is not written as HOST:PORT."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(listen)
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_local(listen: str) -> bool:
    """Whether only programs on this machine can reach an address; a name other than `localhost` may be any.

    Raises `ValueError` as `host_and_port` does.
    """
    host, _ = host_and_port(listen)
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
