import urllib.request

urllib.request.urlopen("https://files.example/data.tar.gz", timeout=5)
