import tempfile

with tempfile.TemporaryFile() as file:
    while True:
        file.write(b"x" * 1_000_000)
