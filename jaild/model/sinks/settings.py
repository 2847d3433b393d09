"""Where events are sent to: the setting `event_sinks` of the configuration, a name for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult

import msgspec

from jaild.model import eventfilter, syslog
from jaild.model.errors import InvalidArgumentError
from jaild.model.loopback import is_loopback
from jaild.model.syslog import Facility, Severity

_Seconds = Annotated[float, msgspec.Meta(gt=0, le=300)]


class _Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is common to all."""


class Webhook(_Kind, frozen=True, kw_only=True):
    """A POST of JSON for each event, signed with a secret that the receiver knows."""

    url: str  # may hold a secret of its own: nothing but its host is shown
    secret: Path  # file whose content is the key, without white space around it
    authority: Path | None = (
        None  # PEM of whoever signed the receiver's certificate; the system's authorities if not said
    )
    insecure: bool = False  # take http:// to another host: whoever is on the way reads the events
    timeout: _Seconds = 10.0  # for all of it: connection, TLS, request, answer

    def __post_init__(self) -> None:
        """Refuse what is no address, and what would go through a network unprotected."""
        at = self.place
        if at.scheme not in {"http", "https"} or not at.hostname or at.username is not None or at.fragment:
            raise ValueError("the url is none: give https://host/path, without user and password")
        if not all("!" <= letter <= "~" for letter in self.url):
            raise ValueError("the url has letters that no request can: encode them (%20 for a space)")
        if at.scheme == "http" and not self.insecure and not is_loopback(at.hostname):
            raise ValueError(f"events would go to {at.hostname} unprotected: give https, or say insecure: true")

    @property
    def place(self) -> SplitResult:
        """The url in its parts."""
        return syslog.split(self.url)

    @property
    def destination(self) -> str:
        """What may be shown of it."""
        return f"{self.place.scheme}://{self.place.netloc}"


class Command(_Kind, frozen=True, kw_only=True):
    """A program for each event, which gets it as JSON on its stdin; status 0 means that it was taken."""

    argv: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]  # the program, and its arguments
    timeout: _Seconds = 30.0  # after which it is ended, and tried again

    @property
    def destination(self) -> str:
        """What may be shown of it."""
        return self.argv[0]


class Syslog(_Kind, frozen=True, kw_only=True):
    """A message of RFC 5424 for each event, with its JSON as the text."""

    address: str = "unix:/var/run/log"  # FreeBSD's; Linux has unix:/dev/log. Or udp://host:514, tcp://host:601
    facility: Facility = "daemon"  # of each message
    severity: Severity = "notice"  # of each message
    timeout: _Seconds = 10.0  # for all of it

    def __post_init__(self) -> None:
        """Refuse what is no address."""
        _ = self.place

    @property
    def place(self) -> tuple[str, str, int, str]:
        """The kind (unix, udp, tcp), host and port, or the socket's path."""
        return syslog.place(self.address)

    @property
    def destination(self) -> str:
        """What may be shown of it."""
        return self.address


class SinkSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sink: of the first three, one is given."""

    webhook: Webhook | None = None
    command: Command | None = None
    syslog: Syslog | None = None
    filter: str = ""  # as `jailctl events --filter`; all events if not said
    give_up_after: Annotated[float, msgspec.Meta(gt=0, le=30 * 86400)] = 86400.0  # seconds that an event is tried for

    def __post_init__(self) -> None:
        """Refuse none and several, and a filter that cannot be read."""
        if sum(kind is not None for kind in (self.webhook, self.command, self.syslog)) != 1:
            raise ValueError("give one of webhook, command and syslog")
        try:
            eventfilter.parse(self.filter)
        except InvalidArgumentError as error:
            raise ValueError(f"{error.message}; {error.hint}") from None

    @property
    def files(self) -> tuple[Path, ...]:
        """What it names and reads."""
        found = (self.webhook.secret, self.webhook.authority) if self.webhook is not None else ()
        return tuple(path for path in found if path is not None)

    @property
    def to(self) -> Webhook | Command | Syslog:
        """The one that is given."""
        found: Any = self.webhook or self.command or self.syslog
        return found  # type: ignore[no-any-return]  # one is there: __post_init__

    @property
    def kind(self) -> str:
        """Return webhook, command or syslog."""
        return type(self.to).__name__.lower()
