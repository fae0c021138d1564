"""Judge the network path to the index: DNS, certificates, the page of pip, the clock and the gateway. Pure."""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from ppp.doctor.diagnosis import Diagnosis, State, parenthesized
from ppp.doctor.machine import (
    CERTIFICATE_OUT_OF_TIME,
    DnsFacts,
    GatewayFacts,
    ImageAvailability,
    IndexFacts,
    Reachability,
)
from ppp.runner.clock import MAX_SKEW_S

#: OpenSSL's error numbers: self-signed or signed by an unknown authority; issued for another host name.
UNKNOWN_SIGNER: Final = frozenset({2, 18, 19, 20, 21})
OTHER_NAME: Final = frozenset({62, 64})

_FAILURES: Final = {
    Reachability.NOT_FOUND: "has a host whose name cannot be resolved",
    Reachability.REFUSED: "refuses the connection",
    Reachability.FORBIDDEN: "cannot be reached from this process",
    Reachability.TIMED_OUT: "does not answer in time",
    Reachability.BAD_CERTIFICATE: "presents a certificate that this machine does not trust",
    Reachability.UNEXPECTED: "does not answer with an index page",
}


def dns(facts: DnsFacts) -> Diagnosis:
    """Judge whether the index's host name can be resolved."""
    if facts.addresses:
        found = f"{facts.host} is {', '.join(facts.addresses[:2])}"
        return Diagnosis(subject="dns", state=State.OK, found=found)
    found = f"{facts.host} cannot be resolved{parenthesized(facts.reason)}"
    if facts.proxied:
        return Diagnosis(subject="dns", state=State.NOTE, found=f"{found}; the proxy resolves it instead")
    return Diagnosis(
        subject="dns",
        state=State.BROKEN,
        found=found,
        remedy="check /etc/resolv.conf and the network, or fix PPP_INDEX_URL",
    )


def index(facts: IndexFacts) -> Diagnosis:
    """Judge the result of reading a page of the index."""
    if facts.reach is not Reachability.ANSWERED:
        found = f"{facts.url} {_FAILURES[facts.reach]}{parenthesized(facts.detail)}"
        return Diagnosis(subject="index", state=State.BROKEN, found=found, remedy=_index_remedy(facts))
    if not facts.lists_pip:
        return Diagnosis(
            subject="index",
            state=State.BROKEN,
            found=f"{facts.url} lists no file with the sha256 of the pip that the matrix pins",
            remedy="fix [pip] in the matrix, or PPP_INDEX_URL",
        )
    url = urlsplit(facts.url)
    security = "over TLS" if url.scheme == "https" else "without TLS"
    return Diagnosis(
        subject="index", state=State.OK, found=f"{url.netloc} serves pages {security}, and lists the pinned pip"
    )


def _index_remedy(facts: IndexFacts) -> str:
    if facts.reach is Reachability.BAD_CERTIFICATE:
        if facts.verify_code in CERTIFICATE_OUT_OF_TIME:
            now = _format_time(facts.requested_at)
            return f"set this machine's clock, which says {now}; if that is right, the certificate itself is bad"
        if facts.verify_code in UNKNOWN_SIGNER:
            return "update ca-certificates; behind a proxy that intercepts TLS, set SSL_CERT_FILE to its certificates"
        if facts.verify_code in OTHER_NAME:
            return "another server answers in place of the index: log in to the network, or fix PPP_INDEX_URL"
    return "check the network and any proxy, or fix PPP_INDEX_URL"


def clock(facts: IndexFacts) -> Diagnosis:
    """Judge this machine's clock by the index's."""
    ours = _format_time(facts.requested_at)
    if facts.server_time is None:
        state = State.WARN if facts.reach is Reachability.ANSWERED else State.NOTE
        found = f"it says {ours}; the index sent no date to compare it with, so nothing checks it"
        return Diagnosis(subject="clock", state=state, found=found)
    skew = facts.requested_at - facts.server_time
    if abs(skew) <= MAX_SKEW_S:
        return Diagnosis(subject="clock", state=State.OK, found=f"it says {ours}, {abs(skew)} s from the index's")
    found = f"it says {ours}, {_format_span(abs(skew))} {'ahead of' if skew > 0 else 'behind'} the index's"
    return Diagnosis(
        subject="clock",
        state=State.BROKEN,
        found=f"{found}: records would carry a wrong time, so a run refuses to start",
        remedy="synchronize it with a time server (`sudo timedatectl set-ntp true`)",
    )


def open_network(*, credentials: bool) -> Diagnosis:
    """Return the diagnosis of a node that is set to use no gateway, for an index that wants `credentials` or not."""
    if credentials:
        return Diagnosis(
            subject="gateway",
            state=State.BROKEN,
            found="not used, as configured, but the index has credentials, which package code would get: a run refuses"
            " to start",
            remedy="unset PPP_NETWORK, or use `--network gateway`",
        )
    return Diagnosis(
        subject="gateway",
        state=State.NOTE,
        found="not used: cells have the open network, as configured; their records say so, and releases of the open"
        " feed stay queued",
        remedy="unset PPP_NETWORK, or use `--network gateway`",
    )


def _format_span(seconds: int) -> str:
    for unit, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def _format_time(epoch: int) -> str:
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%M:%S} UTC"


def gateway(facts: GatewayFacts | None, *, image: str) -> Diagnosis:
    """Judge the index gateway; None means that it was not tried, because the index does not list pip."""
    if facts is None:
        return Diagnosis(
            subject="gateway",
            state=State.WARN,
            found="not tried: the index serves no page with the pinned pip",
            remedy="fix the index first",
        )
    if facts.nginx is None and facts.image_availability is ImageAvailability.PULLABLE:
        return Diagnosis(
            subject="gateway",
            state=State.NOTE,
            found=f"no nginx on this machine; a run pulls the image {image} instead",
            remedy=f"install nginx, or run `docker pull {image}` now",
        )
    if facts.nginx is None:
        return Diagnosis(
            subject="gateway",
            state=State.BROKEN,
            found=f"no nginx on this machine, nor the image {image}{parenthesized(facts.detail)}: a run refuses to"
            " start",
            remedy="install nginx, or allow package code to reach everything this machine can with `--network open`",
        )
    if facts.reach is Reachability.ANSWERED:
        return Diagnosis(
            subject="gateway", state=State.OK, found=f"{facts.nginx} starts, and serves the index's pages and files"
        )
    return Diagnosis(
        subject="gateway",
        state=State.BROKEN,
        found=f"{facts.nginx} does not work as a gateway to the index{parenthesized(facts.detail)}",
        remedy="check that this nginx is 1.18 or newer and can write to TMPDIR, and that the index serves its files",
    )
