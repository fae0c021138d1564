import socket
import time

held = []
try:
    for _ in range(3000):
        connection = socket.socket()
        connection.settimeout(0.5)
        connection.connect(("127.0.0.1", 8080))
        connection.send(b"GET /simple/hostile")
        held.append(connection)
except OSError:
    pass
time.sleep(3)
