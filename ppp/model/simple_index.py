"""Names that whoever writes a simple index and whoever serves it agree on: folders, files and media types."""

from typing import Final

#: The folder of all indexes below the web root, one folder in it for each.
SIMPLE_FOLDER: Final = "simple"
#: The folder of mirrored files below the web root, each by its sha256.
MIRROR_FOLDER: Final = "mirror"
#: A page as HTML: what any web server shows for a folder. The same as JSON: no server negotiates this by itself.
HTML_NAME: Final = "index.html"
JSON_NAME: Final = "index.v1_json"
JSON_TYPE: Final = "application/vnd.pypi.simple.v1+json"
HTML_TYPE: Final = "application/vnd.pypi.simple.v1+html"
#: What the name of an index ends with that has only releases of some age.
COOLDOWN_SUFFIX: Final = "-cooldown"
