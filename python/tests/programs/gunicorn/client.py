# SPDX-License-Identifier: MIT
"""Starts gunicorn by the words that it is given, asks it, ends it."""
import signal
import socket
import subprocess
import sys
import time
import urllib.request


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for(port):
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)  # nothing tells of it
    raise TimeoutError


if __name__ == "__main__":
    port = free_port()
    server = subprocess.Popen([*sys.argv[1:], "-m", "gunicorn", "--preload", "--workers", "2", "--no-sendfile",
                               "--log-level", "error", "--bind", f"127.0.0.1:{port}", "app:app"])
    wait_for(port)
    for number in range(20):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{number}", timeout=30) as answer:
            print(answer.status, answer.read().decode().strip(), flush=True)
    server.send_signal(signal.SIGTERM)
    print("exit", server.wait(30))
