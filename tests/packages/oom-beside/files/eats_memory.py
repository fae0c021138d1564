held = []
while True:
    held.append(b'x' * 8_000_000)
