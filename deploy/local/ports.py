"""Which port is whose, and who sits on one that we want."""

import os
import random
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

SERVICES = ("identity", "support", "privacy", "loyalty")
# Below the range that the system takes ports for outgoing connections from, so that none is lost before it is bound.
FREE = range(15_000, 32_000)


def instances(name: str, replicas: int) -> list[str]:
    """What the processes of one service or of the gateway are called."""
    return [name] if replicas == 1 else [f"{name}-{at}" for at in range(1, replicas + 1)]


def usual(replicas: int) -> dict[str, int]:
    """The port of every listener, by its name."""
    ports = {"gateway": 8080, "mail": 8025, "smtp": 1025, "social": 8026}
    ports |= {"postgres": 5433, "nats": 4222, "nats-monitor": 8222}
    for at, instance in enumerate(instances("gateway", replicas)):
        if replicas > 1:
            ports[instance] = 8081 + at  # behind the balancer, which has 8080
        ports[f"{instance}-metrics"] = 9200 + 10 * at
    for number, service in enumerate(SERVICES, 1):
        for at, instance in enumerate(instances(service, replicas)):
            ports[instance] = 9100 + 10 * at + number
            ports[f"{instance}-metrics"] = 9200 + 10 * at + number
    return ports


def free(wanted: Mapping[str, int]) -> dict[str, int]:
    """The same listeners, each on a port that nobody has."""
    taken: set[int] = set()
    found = {}
    for name in wanted:
        port = next(one for one in iter(lambda: random.choice(FREE), None) if one not in taken and bindable(one))  # noqa: S311
        taken.add(port)
        found[name] = port
    return found


def with_replacements(wanted: Mapping[str, int]) -> dict[str, int]:
    """The usual ports, but for those that somebody has."""
    taken = {name: port for name, port in wanted.items() if not bindable(port)}
    return {**wanted, **free(taken)}


def bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
        return True


def holder(port: int) -> tuple[int, str] | None:
    """The process that listens there and its command; nothing when it is another user's."""
    for inode in listening(port):
        for link in Path("/proc").glob("[0-9]*/fd/*"):
            try:
                if os.readlink(link) == f"socket:[{inode}]":
                    pid = int(link.parts[2])
                    return pid, Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:  # it ended meanwhile, or is not ours to look into
                continue
    return None


def listening(port: int) -> Iterator[str]:
    """The inodes of the sockets that listen on the port (proc_net_tcp in proc(5))."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                yield words[9]


def complaint(port: int) -> str:
    """Who has the port, and what to type."""
    found = holder(port)
    if found is None:
        return f"Port {port} is used by a process of another user. Type: ./rapport up --ports auto"
    pid, command = found
    return f"Port {port} is used by {command} (pid {pid}). Type: ./rapport up --ports auto, or stop it: kill {pid}"
