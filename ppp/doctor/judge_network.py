"""What the way to the index comes to: names, certificates, the page of pip, the clock, the gateway. Pure."""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from ppp.doctor.diagnosis import Diagnosis, State, parenthesized
from ppp.doctor.machine import DnsFacts, GatewayFacts, ImageAvailability, IndexFacts, Reachability

#: A clock that is further off than this, in seconds, makes records untrue and certificates fail.
MAX_SKEW_S: Final = 300
#: What the way of an answer and a cache between may add, in seconds.
USUAL_SKEW_S: Final = 60
#: OpenSSL's numbers: not yet valid, expired; then self-signed or signed by one whom nobody here knows; another's name.
OUT_OF_TIME: Final = frozenset({9, 10})
UNKNOWN_SIGNER: Final = frozenset({2, 18, 19, 20, 21})
OTHER_NAME: Final = frozenset({62, 64})

_HOW: Final = {
    Reachability.NOT_FOUND: "has a host whose name cannot be resolved",
    Reachability.REFUSED: "refuses the connection",
    Reachability.FORBIDDEN: "cannot be reached from this process",
    Reachability.TIMED_OUT: "does not answer in time",
    Reachability.BAD_CERTIFICATE: "shows a certificate that this machine does not believe",
    Reachability.UNEXPECTED: "gives no page of an index",
}


def dns(found: DnsFacts) -> Diagnosis:
    """Judge whether the index's name leads anywhere."""
    if found.addresses:
        told = f"{found.host} is {', '.join(found.addresses[:2])}"
        return Diagnosis(subject="dns", state=State.OK, found=told)
    told = f"{found.host} cannot be resolved{parenthesized(found.reason)}"
    if found.proxied:
        return Diagnosis(subject="dns", state=State.NOTE, found=f"{told}; that is the proxy's business here")
    return Diagnosis(
        subject="dns",
        state=State.BROKEN,
        found=told,
        remedy="look at /etc/resolv.conf and at the network, or mend PPP_INDEX_URL",
    )


def index(found: IndexFacts) -> Diagnosis:
    """Judge what reading a page of the index came to."""
    if found.reach is not Reachability.ANSWERED:
        told = f"{found.url} {_HOW[found.reach]}{parenthesized(found.detail)}"
        return Diagnosis(subject="index", state=State.BROKEN, found=told, remedy=_remedy(found))
    if not found.lists_pip:
        return Diagnosis(
            subject="index",
            state=State.BROKEN,
            found=f"{found.url} lists no file with the sha256 of the pip that the matrix pins",
            remedy="mend [pip] in the matrix, or PPP_INDEX_URL",
        )
    over = "over TLS" if urlsplit(found.url).scheme == "https" else "without TLS"
    return Diagnosis(
        subject="index", state=State.OK, found=f"{urlsplit(found.url).netloc} gives pages {over}, and the pinned pip"
    )


def _remedy(found: IndexFacts) -> str:
    if found.reach is Reachability.BAD_CERTIFICATE:
        if found.verify_code in OUT_OF_TIME:
            now = _moment(found.requested_at)
            return f"set this machine's clock, which says {now}; else the certificate itself is bad"
        if found.verify_code in UNKNOWN_SIGNER:
            return "update ca-certificates; where a proxy signs anew, name its certificates with SSL_CERT_FILE"
        if found.verify_code in OTHER_NAME:
            return "somebody else answers in the index's place: log in to the network, or mend PPP_INDEX_URL"
    return "look at the network and at a proxy between, or mend PPP_INDEX_URL"


def clock(found: IndexFacts) -> Diagnosis:
    """Judge this machine's clock by the index's."""
    ours = _moment(found.requested_at)
    if found.server_time is None:
        state = State.WARN if found.reach is Reachability.ANSWERED else State.NOTE
        told = f"it says {ours}; the index gave no date to hold against it"
        return Diagnosis(subject="clock", state=state, found=told)
    skew = found.requested_at - found.server_time
    if abs(skew) <= USUAL_SKEW_S:
        return Diagnosis(subject="clock", state=State.OK, found=f"it says {ours}, {abs(skew)} s from the index's")
    told = f"it says {ours}, {_span(abs(skew))} {'ahead of' if skew > 0 else 'behind'} the index's"
    return Diagnosis(
        subject="clock",
        state=State.BROKEN if abs(skew) > MAX_SKEW_S else State.WARN,
        found=f"{told}: records would carry a wrong time",
        remedy="let a time service set it (`sudo timedatectl set-ntp true`)",
    )


def open_network() -> Diagnosis:
    """Judge that no gateway is wanted."""
    return Diagnosis(
        subject="gateway",
        state=State.NOTE,
        found="not wanted: cells have the open network, as was asked for; records say so, and the open feed waits",
        remedy="unset PPP_NETWORK, or say `--network gateway`",
    )


def _span(seconds: int) -> str:
    for unit, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def _moment(epoch: int) -> str:
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%M:%S} UTC"


def gateway(found: GatewayFacts | None, *, image: str) -> Diagnosis:
    """Judge the index gateway; None is one that was not tried, since the index gives no page."""
    if found is None:
        return Diagnosis(
            subject="gateway",
            state=State.WARN,
            found="not tried: the index gives no page",
            remedy="mend what is said of the index first",
        )
    if found.nginx is None and found.image_availability is ImageAvailability.PULLABLE:
        return Diagnosis(
            subject="gateway",
            state=State.NOTE,
            found=f"no nginx on this machine; a run pulls the image {image} in its place",
            remedy=f"install nginx, or run `docker pull {image}` now",
        )
    if found.nginx is None:
        return Diagnosis(
            subject="gateway",
            state=State.BROKEN,
            found=f"no nginx on this machine, nor the image {image}{parenthesized(found.detail)}:"
            " a run refuses to begin",
            remedy="install nginx, or let package code reach all that this machine does with `--network open`",
        )
    if found.reach is Reachability.ANSWERED:
        return Diagnosis(subject="gateway", state=State.OK, found=f"{found.nginx} starts, and gives the index's pages")
    return Diagnosis(
        subject="gateway",
        state=State.BROKEN,
        found=f"{found.nginx} is here, but is no gateway to the index{parenthesized(found.detail)}",
        remedy="see that this nginx has TLS and sub_filter, that it may write to TMPDIR, and that it trusts the index",
    )
