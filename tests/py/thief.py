"""A server that asks for the password itself: thief.py BINARY TOKEN. Prints `refused` when `sessionlake sql` does not give
it, else what it gave."""

import os
import socket
import subprocess
import sys
import threading

BINARY, TOKEN = sys.argv[1:]
listener = socket.create_server(("127.0.0.1", 0))
given = []


def serve():
    client, _ = listener.accept()
    with client:
        assert client.recv(8)[4:] == b"\x04\xd2\x16\x2f"
        client.sendall(b"N")
        client.recv(4096)
        # AuthenticationCleartextPassword
        client.sendall(b"R\0\0\0\x08\0\0\0\x03")
        while data := client.recv(4096):
            given.append(data)


thread = threading.Thread(target=serve)
thread.start()
address = f"127.0.0.1:{listener.getsockname()[1]}"
asked = subprocess.run([BINARY, "sql", "--server", address, "SELECT 1"], capture_output=True, text=True,
                       env={**os.environ, "SESSIONLAKE_TOKEN": TOKEN})
thread.join()
leaked = any(TOKEN.encode() in data for data in given)
refused = asked.returncode == 1 and "asks for more than a proof" in asked.stderr
print("refused" if refused and not leaked else f"{asked} {given}")
