import socket

socket.create_connection(("service.example", 5432), timeout=5)
