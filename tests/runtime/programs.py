# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""programs.py serve | http | frames | memcached HOST | memcached_async HOST

What Python programs do with sockets: `serve` is an HTTP server (18200: files, and the checksum of what
is posted) and a server that answers frames, a thread per connection, as servers in Java do (18300). The
others are clients of these and of memcached; they print what they got, the same each time.
"""
import asyncio
import hashlib
import http.server
import random
import socket
import struct
import sys
import threading
import urllib.request

WWW = "/run/programs/www/"
HOSTS = ("127.0.0.1", "::1")


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


# Servers.

class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args):
        super().__init__(*args, directory=WWW)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        text = f"{len(body)} {digest(body)}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


def read_exactly(sock, n):
    """A blocking socket in a sockmap may say EAGAIN (bpf/README.md), which who allows that has to expect."""
    data = b""
    while len(data) < n:
        try:
            part = sock.recv(n - len(data))
        except BlockingIOError:
            continue
        if not part:
            return data
        data += part
    return data


def answer_frames(sock):
    """Each frame is a length and so many bytes; the answer is the frame turned round."""
    with sock:
        while len(head := read_exactly(sock, 4)) == 4:
            body = read_exactly(sock, struct.unpack("!I", head)[0])
            sock.sendall(head + body[::-1])


def accept_frames(listener):
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=answer_frames, args=(sock,), daemon=True).start()


class Server6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def serve():
    for host, kind in zip(HOSTS, (http.server.ThreadingHTTPServer, Server6)):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        frames = socket.create_server((host, 18300), family=family, backlog=64)
        threading.Thread(target=accept_frames, args=(frames,)).start()
        threading.Thread(target=kind((host, 18200), Handler).serve_forever).start()


# Clients.

def url(host, path):
    return f"http://{'[::1]' if ':' in host else host}:18200/{path}"


def http_client():
    for host in HOSTS:
        for name in ("64", "64k", "1m", "8m") * 3:
            with urllib.request.urlopen(url(host, name)) as reply:
                print(host, name, digest(reply.read()))
        for size in (1, 1000, 65536, 3 << 20):
            body = random.Random(size).randbytes(size)
            print(host, "post", urllib.request.urlopen(url(host, "sum"), body).read().decode().strip())


def frames_client(host, number, results):
    """Frames of many sizes on one connection: each whole, and the one that was asked for."""
    rng, seen = random.Random(number), hashlib.sha256()
    with socket.create_connection((host, 18300)) as sock:
        for n in range(301):
            body = rng.randbytes(rng.choice((1, 20, 100, 1500, 9000, 70000)) if n < 300 else 4 << 20)
            sock.sendall(struct.pack("!I", len(body)) + body)
            reply = read_exactly(sock, len(body) + 4)
            if reply[4:] != body[::-1]:
                raise SystemExit(f"{host} {number}: not the answer to a frame of {len(body)} bytes")
            seen.update(reply)
    results[number] = seen.hexdigest()[:16]


def frames():
    for host in HOSTS:
        results = {}
        threads = [threading.Thread(target=frames_client, args=(host, n, results)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(host, *(results.get(n, "failed") for n in range(6)))


def items(number):
    """Keys and values of a memcached client, from one byte to nearly the most that an item may have.
    Number 0 has more of them: it is alone."""
    rng = random.Random(number)
    for n in range(150 if number else 600):
        yield f"key-{number}-{n}", rng.randbytes(rng.choice((1, 50, 1000, 4096, 20000)))
    yield f"key-{number}-big", rng.randbytes(1_900_000)


def stored(key, value):
    return f"set {key} 7 0 {len(value)}\r\n".encode() + value + b"\r\n"


def found(key, value):
    return f"VALUE {key} 7 {len(value)}\r\n".encode() + value + b"\r\nEND\r\n"


def memcached(host):
    with socket.create_connection((host, 11311)) as sock:
        for key, value in items(0):
            sock.sendall(stored(key, value))
            if read_exactly(sock, 8) != b"STORED\r\n":
                raise SystemExit(f"{host}: {key} was not stored")
        for key, value in items(0):
            expected = found(key, value)
            sock.sendall(f"get {key}\r\n".encode())
            if read_exactly(sock, len(expected)) != expected:
                raise SystemExit(f"{host}: {key} is not what was stored")
    print(host, sum(len(value) for _, value in items(0)), "bytes right")


async def memcached_task(host, number):
    reader, writer = await asyncio.open_connection(host, 11311)
    for key, value in items(number):
        writer.write(stored(key, value))
        assert await reader.readexactly(8) == b"STORED\r\n", key
        expected = found(key, value)
        writer.write(f"get {key}\r\n".encode())
        assert await reader.readexactly(len(expected)) == expected, key
    for _ in range(100):
        writer.write(f"incr counter-{host} 1\r\n".encode())
        await reader.readline()
    writer.close()


async def memcached_async(host):
    reader, writer = await asyncio.open_connection(host, 11311)
    writer.write(f"set counter-{host} 0 0 1\r\n0\r\n".encode())
    await reader.readline()
    await asyncio.gather(*(memcached_task(host, number) for number in range(1, 9)))
    writer.write(f"get counter-{host}\r\n".encode())
    print(host, (await reader.readline() + await reader.readline()).decode().split())
    writer.close()


def main(what, *args):
    if what == "memcached_async":
        asyncio.run(memcached_async(*args))
    else:
        {"serve": serve, "http": http_client, "frames": frames, "memcached": memcached}[what](*args)


main(*sys.argv[1:])
