"""Mail on disk: one file a message, the oldest gone first."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

MOST = 1_000
PERSON = "X-Rapport-Person"  # whose mail it is, for when they are to be forgotten
LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,)]")


@dataclass(frozen=True)
class Message:
    id: int
    mail: EmailMessage

    @property
    def recipients(self) -> list[str]:
        return [str(one).casefold() for one in self.mail.get_all("Delivered-To", [])]

    def body(self, kind: str) -> str:
        part = self.mail.get_body((kind,))
        return str(part.get_content()) if part is not None else ""

    def described(self) -> dict[str, Any]:
        text = self.body("plain")
        return {
            "id": self.id,
            "to": self.recipients,
            "from": self.mail["From"],
            "subject": self.mail["Subject"],
            "date": str(self.mail["Date"] or ""),
            "headers": {name: str(value) for name, value in self.mail.items()},
            "text": text,
            "html": self.body("html"),
            "links": LINK.findall(text),
        }


class Mailbox:
    def __init__(self, folder: Path, most: int = MOST) -> None:
        self.folder, self.most = folder, most
        self.last = max(self.ids(), default=0)

    def keep(self, mail: bytes, recipients: list[str]) -> None:
        """Keep a message, whole or not at all, for these recipients."""
        self.last += 1
        delivered = b"".join(f"Delivered-To: {one}\r\n".encode() for one in recipients)
        new = self.folder / "new"
        new.write_bytes(delivered + mail)
        new.rename(self.path(self.last))
        for old in sorted(self.ids())[: -self.most]:
            self.path(old).unlink()

    def messages(self, to: str = "") -> Iterator[Message]:
        """Newest first; with `to`, only what came for that address."""
        for number in sorted(self.ids(), reverse=True):
            if (message := self.message(number)) and (not to or to.casefold() in message.recipients):
                yield message

    def message(self, number: int) -> Message | None:
        try:
            mail = message_from_bytes(self.path(number).read_bytes(), EmailMessage, policy=policy.default)
        except FileNotFoundError:
            return None
        return Message(number, mail)

    def forget(self, person: str) -> int:
        """Remove a person's mail. How much it was."""
        theirs = [one.id for one in self.messages() if one.mail[PERSON] == person]
        for number in theirs:
            self.path(number).unlink(missing_ok=True)
        return len(theirs)

    def ids(self) -> list[int]:
        return [int(path.stem) for path in self.folder.glob("*.eml")]

    def path(self, number: int) -> Path:
        return self.folder / f"{number}.eml"
