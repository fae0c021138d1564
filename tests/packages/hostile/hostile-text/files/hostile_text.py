import os

ALL = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\u202c\u2066\u0000\r\b<script>alert(1)</script>'\";--$(id)`id`{{7*7}}\ud800\U000e0041"


class HostileError(Exception):
    pass


os.write(2, b"\xff\xfe\x00\xc0\x80\xed\xa0\x80\n")
raise HostileError(ALL.encode("utf-8", "surrogatepass").decode("utf-8", "replace") * 200)
