"""python -m chassis.personal_data: check every contract, and the tables of every service."""

import pkgutil
import sys
from importlib import import_module
from pathlib import Path

import rapport
from google.protobuf.descriptor import FileDescriptor

from chassis.migrations import models_of
from chassis.personal_data import Undeclared, check, retention
from chassis.personal_data.check import messages_of, rules_on
from chassis.personal_data.holdings import holdings, tables_of


def every_contract() -> list[FileDescriptor]:
    """The contracts of all packages, but for the options themselves, which no message carries."""
    # Looked for as files: the packages have no __init__.py, and so are none to those who walk packages.
    found = sorted((folder, file) for folder in map(Path, rapport.__path__) for file in folder.rglob("*_pb2.py"))
    names = [".".join(file.relative_to(folder.parent).with_suffix("").parts) for folder, file in found]
    return [import_module(name).DESCRIPTOR for name in names if not name.startswith("rapport.annotations.")]


def main() -> int:
    schedule, contracts = retention.load(), every_contract()
    services = [one.name for one in pkgutil.iter_modules(import_module("services").__path__)]
    tables = [table for service in services for table in tables_of(models_of(service))]
    try:
        check(tables, contracts, schedule)
    except Undeclared as problems:
        sys.stdout.write(f"{problems}\n")
        return 1
    held = {one.name for table in tables for one in holdings(table)}
    fields = [field for file in contracts for message in messages_of(file) for field in message.fields]
    personal = [field for field in fields if rules_on(field) is not None]
    sys.stdout.write(
        f"{len(contracts)} contracts, {len(personal)} of {len(fields)} fields personal; "
        f"{len(services)} services, {len(tables)} tables, {len(held)} columns hold people. All declared.\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
