"""HOST:PORT as it is written in the configuration."""


def host_and_port(listen: str) -> tuple[str, int]:
    """Both parts; an address of IPv6 stands in brackets. Raises `ValueError` when it is not written as HOST:PORT."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(listen)
    return host.removeprefix("[").removesuffix("]"), int(port)
