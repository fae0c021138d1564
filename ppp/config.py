"""Read the settings from environment variables, and matrices from TOML files.

All mistakes of a source are collected and reported together, each with its place.
"""

import os
import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urljoin

import ppp
from ppp.folder_paths import path_mistake
from ppp.index_address import default_index_url
from ppp.model.credentials import Credentials, origin_of, split_credentials
from ppp.model.drift import DriftLimits
from ppp.model.errors import ConfigError
from ppp.model.model_options import (
    DEFAULT_CONTEXT_TOKENS,
    DEFAULT_SECONDS,
    MAX_CONTEXT_TOKENS,
    MAX_MEMORY_MIB,
    MAX_SECONDS,
    MAX_THREADS,
    MIN_CONTEXT_TOKENS,
    MIN_MEMORY_MIB,
    ModelOptions,
)
from ppp.model.node_ids import MAX_NODES, parse_node_ids
from ppp.model.node_seed import SEED_VARIABLE, NodeSeed
from ppp.model.record import Network
from ppp.model.site_address import SiteAddresses, read_site_address
from ppp.model.site_bound import SiteBound, SitePreset, site_bound
from ppp.netrc_file import netrc_credentials
from ppp.storage_errors import temporary_folder

T = TypeVar("T")
#: The User-Agent names the program and how to reach its operator.
CONTACT_VARIABLE: Final = "PPP_CONTACT"
DEFAULT_CONTACT: Final = "the operator of this node has set no PPP_CONTACT"
MAX_JOBS: Final = 256
#: How much of an invalid address an error shows, in characters.
MAX_SHOWN: Final = 200
#: What package code can reach during installation: only the index, or this machine's whole network.
NETWORKS: Final = (Network.GATEWAY, Network.OPEN)
#: What a setting that is on or off can be, in any case.
BOOLEANS: Final = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)
#: The format of a command's log: an option that every command which reports has, too.
LOG_FORMAT_VARIABLE: Final = "PPP_LOG_FORMAT"
#: The image that nginx is taken from on a machine without nginx.
DEFAULT_NGINX_IMAGE: Final = "nginx:alpine"
#: Of how many days every snapshot is kept, and then of how many weeks the last one; the size limit of the window.
DEFAULT_SNAPSHOT_DAYS: Final = 14
DEFAULT_SNAPSHOT_WEEKS: Final = 8
DEFAULT_WINDOW_MIB: Final = 45
DEFAULT_COOLDOWN_DAYS: Final = 7
#: How much the mirror takes, where it is wanted.
DEFAULT_MIRROR_BYTES: Final = 10_000_000_000
#: Where `ppp serve` listens by default.
DEFAULT_PORT: Final = 8001


class JournalMode(StrEnum):
    """Which ways of learning what the index has released may be used: all, from the complete one on; one; or none."""

    AUTO = "auto"
    CHANGELOG = "changelog"
    INDEX = "index"
    FEED = "feed"
    OFF = "off"


class SpeechEngine(StrEnum):
    """Which program speaks the episodes."""

    ESPEAK = "espeak"
    PIPER = "piper"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings that a command runs with; see `load` for the variables they come from.

    No URL contains credentials: these are in fields of their own, which have no text form.
    """

    data: Path
    index_url: str
    feed_url: str
    #: The address of the published site, ending in a slash; `""` where nobody has said it.
    base_url: str
    contact: str
    model: Path | None
    jobs: int
    model_options: ModelOptions = field(default_factory=ModelOptions)
    container_runtime: str | None = None
    canary: bool = True
    #: Within which limits failures are examined for drift, None if they are not.
    drift_limits: DriftLimits | None = field(default_factory=DriftLimits)
    network: Network = Network.GATEWAY
    nginx_image: str = DEFAULT_NGINX_IMAGE
    snapshot_days: int = DEFAULT_SNAPSHOT_DAYS
    snapshot_weeks: int = DEFAULT_SNAPSHOT_WEEKS
    window_mib: int = DEFAULT_WINDOW_MIB
    index_credentials: Credentials | None = None
    feed_credentials: Credentials | None = None
    #: The address of the index's changelog (XML-RPC), `""` for none.
    journal_url: str = ""
    journal_credentials: Credentials | None = None
    journal: JournalMode = JournalMode.AUTO
    #: The secret of this node's key, where the environment holds it; else it is in a file of the data folder.
    node_seed: NodeSeed | None = None
    #: The ids of the nodes that share the work, this one among them, and how many of them check each release.
    share_nodes: tuple[str, ...] = ()
    replicas: int = 1
    #: How much the site may take; None: there is no bound.
    site_bound: SiteBound | None = None
    #: Where people find the batches for which that leaves no room.
    older_batches_url: str | None = None
    #: The repository that the program comes from, and a Datasette that serves this node's ledger; `""` for none.
    repository_url: str = ""
    datasette_url: str = ""
    #: How much the data folder may take, in MiB: files that can be had again make room. None: there is no bound.
    disk_mib: int | None = None
    #: How many days ago a file must have been uploaded to be in a simple index with a cooldown.
    cooldown_days: int = DEFAULT_COOLDOWN_DAYS
    #: How many bytes copies of files may take.
    mirror_bytes: int = DEFAULT_MIRROR_BYTES
    #: Which program speaks the episodes, and the file of a voice for it, where it takes one.
    speech: SpeechEngine = SpeechEngine.ESPEAK
    speech_voice: Path | None = None

    @property
    def public(self) -> Path:
        """The web root: everything that is published."""
        return self.data / "public"

    @property
    def cache(self) -> Path:
        """The folder of files that can be fetched or made again."""
        return self.data / "cache"

    @property
    def addresses(self) -> SiteAddresses:
        """The addresses that published pages name."""
        return SiteAddresses(
            base_url=self.base_url, repository_url=self.repository_url, datasette_url=self.datasette_url
        )

    @property
    def user_agent(self) -> str:
        """The User-Agent header of every request, with the contact."""
        return f"the-pypi-place/{ppp.__version__} ({self.contact})"


def load(environ: Mapping[str, str], *, data: Path | None = None, network: str | None = None) -> Config:
    """Read the settings; `data` and `network` override `PPP_DATA` and `PPP_NETWORK`. `ConfigError` has all mistakes."""
    settings = _Settings(environ)
    settings.check_path("PPP_DATA" if data is None else "--data", data or Path(settings.text("PPP_DATA", "data")))
    settings.check_path("the folder for temporary files (TMPDIR)", temporary_folder(environ))
    index_url, index_credentials = settings.private_address("PPP_INDEX_URL", default_index_url())
    feed_url, feed_credentials = settings.private_address("PPP_FEED_URL", _feed_beside(index_url))
    journal_url, journal_credentials = settings.private_address("PPP_JOURNAL_URL", _changelog_beside(index_url))
    # One server: what it knows the index's reader by.
    index_origin = origin_of(index_url)
    feed_credentials = feed_credentials or (index_credentials if origin_of(feed_url) == index_origin else None)
    journal_credentials = journal_credentials or (index_credentials if origin_of(journal_url) == index_origin else None)
    config = Config(
        data=data or Path(settings.text("PPP_DATA", "data")),
        index_url=_with_slash(index_url),
        index_credentials=index_credentials,
        feed_url=feed_url,
        feed_credentials=feed_credentials,
        journal_url=journal_url,
        journal_credentials=journal_credentials,
        journal=settings.journal("PPP_JOURNAL"),
        node_seed=settings.parsed(SEED_VARIABLE, NodeSeed.parse),
        share_nodes=settings.parsed("PPP_SHARE_NODES", parse_node_ids) or (),
        replicas=settings.number("PPP_REPLICAS", 1, most=MAX_NODES),
        base_url=settings.site_address("PPP_BASE_URL"),
        repository_url=settings.site_address("PPP_REPOSITORY_URL"),
        datasette_url=settings.site_address("PPP_DATASETTE_URL"),
        jobs=settings.number("PPP_JOBS", min(os.cpu_count() or 1, MAX_JOBS), most=MAX_JOBS),
        snapshot_days=settings.number("PPP_SNAPSHOT_DAYS", DEFAULT_SNAPSHOT_DAYS, most=10_000),
        snapshot_weeks=settings.number("PPP_SNAPSHOT_WEEKS", DEFAULT_SNAPSHOT_WEEKS, most=10_000),
        window_mib=settings.number("PPP_WINDOW_MIB", DEFAULT_WINDOW_MIB, most=100_000),
        model=settings.file("PPP_MODEL"),
        model_options=settings.model_options(),
        speech=settings.parsed("PPP_SPEECH", _speech_engine) or SpeechEngine.ESPEAK,
        speech_voice=settings.file("PPP_SPEECH_VOICE"),
        network=settings.network("PPP_NETWORK", network),
        contact=settings.header(CONTACT_VARIABLE, DEFAULT_CONTACT),
        canary=settings.boolean("PPP_CANARY", default=True),
        drift_limits=settings.drift_limits(),
        container_runtime=settings.text("PPP_CONTAINER_RUNTIME") or None,
        nginx_image=settings.text("PPP_NGINX_IMAGE", DEFAULT_NGINX_IMAGE),
        site_bound=settings.site_bound(),
        older_batches_url=settings.site_address("PPP_OLDER_BATCHES_URL") or None,
        disk_mib=settings.optional_number("PPP_DISK_MIB", most=1_000_000_000),
        cooldown_days=settings.number("PPP_COOLDOWN_DAYS", DEFAULT_COOLDOWN_DAYS, most=10_000),
        mirror_bytes=settings.number("PPP_MIRROR_BYTES", DEFAULT_MIRROR_BYTES, most=10**15),
    )
    settings.check_replicas(config.replicas)
    settings.raise_mistakes()
    return config


def load_valid(
    environ: Mapping[str, str], *, data: Path | None = None, network: str | None = None
) -> tuple[Config, str]:
    """Read the settings without those that are invalid; return them, and what is wrong with the others (or "")."""
    try:
        return load(environ, data=data, network=network), ""
    except ConfigError as error:
        valid = {name: value for name, value in environ.items() if _is_valid(name, value)}
        usable = data if data is None or path_mistake(data) is None else None
        return load(valid, data=usable, network=network), error.message


def _is_valid(name: str, value: str) -> bool:
    try:
        load({name: value})
    except ConfigError:
        return False
    return True


def take_credentials(environ: MutableMapping[str, str], config: Config) -> None:
    """Take the credentials that `config` was read with out of the environment, which other programs inherit.

    The node's key goes too, also if it is not valid.
    """
    environ.pop(SEED_VARIABLE, None)
    read = {
        "PPP_INDEX_URL": (config.index_url, config.index_credentials),
        "PPP_FEED_URL": (config.feed_url, config.feed_credentials),
        "PPP_JOURNAL_URL": (config.journal_url, config.journal_credentials),
    }
    for name, (url, credentials) in read.items():
        if credentials and "@" in environ.get(name, ""):
            environ[name] = url


class _Settings:
    """Settings by type. Mistakes are collected; for an invalid setting a valid value is returned, which nobody uses.

    An empty setting counts as not set.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.mistakes: list[str] = []

    def check_path(self, name: str, path: Path) -> None:
        if mistake := path_mistake(path):
            self.mistakes.append(f"{name}={str(path)!r} {mistake}")

    def raise_mistakes(self) -> None:
        if self.mistakes:
            raise ConfigError("; ".join(self.mistakes), hint="fix these settings and run the command again")

    def check_replicas(self, replicas: int) -> None:
        if replicas > 1 and not self.text("PPP_SHARE_NODES"):
            self.mistakes.append(f"PPP_REPLICAS={replicas} says nothing without PPP_SHARE_NODES")

    def text(self, name: str, default: str = "") -> str:
        return self._environ.get(name) or default

    def private_address(self, name: str, default: str) -> tuple[str, Credentials | None]:
        """Return an address, and the credentials for it: those in it, else those that netrc has for its host."""
        text = self.text(name, default)
        try:
            url, credentials = split_credentials(text)
        except ValueError:
            self.mistakes.append(f"{name}={_without_userinfo(text)!r} is not an http(s) address")
            return default, None
        return url, credentials or netrc_credentials(url, self._environ)

    def site_address(self, name: str) -> str:
        """Return an address that is published, ending in a slash; it may have no credentials."""
        text = self.text(name)
        try:
            return read_site_address(text) if text else ""
        except ValueError as error:
            self.mistakes.append(f"{name}={_shortened(_without_userinfo(text))!r} {error}")
            return ""

    def number(self, name: str, default: int, *, most: int, least: int = 1) -> int:
        text = self.text(name, str(default))
        if not (re.fullmatch("[0-9]{1,16}", text) and least <= int(text) <= most):
            self.mistakes.append(f"{name}={text!r} is not a number from {least} to {most}")
            return default
        return int(text)

    def optional_number(self, name: str, *, most: int, least: int = 1) -> int | None:
        return self.number(name, least, most=most, least=least) if self.text(name) else None

    def model_options(self) -> ModelOptions:
        """Return how a language model is run."""
        return ModelOptions(
            threads=self.optional_number("PPP_MODEL_THREADS", most=MAX_THREADS),
            context_tokens=self.number(
                "PPP_MODEL_CONTEXT", DEFAULT_CONTEXT_TOKENS, least=MIN_CONTEXT_TOKENS, most=MAX_CONTEXT_TOKENS
            ),
            seconds=self.number("PPP_MODEL_SECONDS", DEFAULT_SECONDS, most=MAX_SECONDS),
            memory_mib=self.optional_number("PPP_MODEL_MEMORY_MIB", least=MIN_MEMORY_MIB, most=MAX_MEMORY_MIB),
        )

    def drift_limits(self) -> DriftLimits | None:
        """Return how much is done to tell drift from faults, None for nothing."""
        default = DriftLimits()
        limits = DriftLimits(
            cells=self.number("PPP_DRIFT_CELLS", default.cells, most=10_000),
            runs=self.number("PPP_DRIFT_RUNS", default.runs, most=1000),
            seconds=self.number("PPP_DRIFT_SECONDS", default.seconds, most=86_400),
        )
        return limits if self.boolean("PPP_DRIFT", default=True) else None

    def site_bound(self) -> SiteBound | None:
        """Return how much the site may take: that of its host, or the numbers that are set."""
        text = self.text("PPP_SITE_PRESET", SitePreset.NONE).lower()
        if text not in [*SitePreset]:
            self.mistakes.append(f"PPP_SITE_PRESET={text!r} is none of {', '.join(SitePreset)}")
            text = SitePreset.NONE
        max_mib = self.optional_number("PPP_SITE_MAX_MIB", most=100_000_000)
        max_files = self.optional_number("PPP_SITE_MAX_FILES", most=999_999_999)
        return site_bound(SitePreset(text), max_mib=max_mib, max_files=max_files)

    def file(self, name: str) -> Path | None:
        text = self.text(name)
        path = Path(text) if text else None
        if path and not path.is_file():
            self.mistakes.append(f"{name}={str(path)!r} is not a file")
        return path

    def boolean(self, name: str, *, default: bool) -> bool:
        text = self.text(name)
        if text and text.lower() not in BOOLEANS:
            self.mistakes.append(f"{name}={text!r} is neither on (1, true, yes, on) nor off (0, false, no, off)")
        return BOOLEANS.get(text.lower(), default)

    def network(self, name: str, override: str | None) -> Network:
        text = override or self.text(name, Network.GATEWAY)
        if text not in NETWORKS:
            self.mistakes.append(f"{name}={text!r} is neither {' nor '.join(NETWORKS)}")
            return Network.GATEWAY
        return Network(text)

    def journal(self, name: str) -> JournalMode:
        text = self.text(name, JournalMode.AUTO).lower()
        if text not in [*JournalMode]:
            self.mistakes.append(f"{name}={text!r} is none of {', '.join(JournalMode)}")
            return JournalMode.AUTO
        return JournalMode(text)

    def parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        """Return what `parse` makes of a setting, None if it is not set; a `ValueError` says what is wrong with it."""
        # What a secret is pasted or piped from may end with a line feed.
        text = self.text(name).strip()
        try:
            return parse(text) if text else None
        except ValueError as error:
            self.mistakes.append(f"{name} {error}")
            return None

    def header(self, name: str, default: str) -> str:
        text = self.text(name, default)
        if not text.isprintable() or not text.isascii():
            self.mistakes.append(f"{name}={text!r} has characters that a header cannot carry")
        return text


def _speech_engine(text: str) -> SpeechEngine:
    if text not in [*SpeechEngine]:
        raise ValueError(f"is {_shortened(text)!r}, which is none of {', '.join(SpeechEngine)}")
    return SpeechEngine(text)


def _feed_beside(index_url: str) -> str:
    return urljoin(index_url, "/rss/updates.xml")


def _changelog_beside(index_url: str) -> str:
    return urljoin(index_url, "/pypi")


def _with_slash(url: str) -> str:
    return url if url.endswith("/") else f"{url}/"


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _without_userinfo(text: str) -> str:
    # An address that cannot be parsed may contain a password anywhere before its last @.
    return f"…{text[text.rindex('@') :]}" if "@" in text else text
