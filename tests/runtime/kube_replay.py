#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# kube_replay.py FOLDER FIXTURE - answers on FOLDER/kube.sock as a Kubernetes API server was recorded to.
#
# Lists in two pages, watches from the recorded version on; other versions get a stream on which nothing
# happens, version 3 the error that it is too old. Only the token "good" is known. Each request is a line of
# FOLDER/requests: method, path with query, token. Files in FOLDER make it misbehave:
#
#   hang           no answer at all
#   truncate       lists are cut off in the middle of their JSON, but complete as HTTP
#   break          the watch breaks off in the middle of its second event
#   garbage        the watch sends a line that is no JSON
#   end            watches end at once, as after their time
#   expire         all versions are too old for a watch
#   expire_page    the second page is not to be had any more (once)
#   status         all answers have this status, with no JSON
#   say            its lines are sent on the stream that is open; then the file is removed
import json
import os
import socketserver
import sys
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler

folder, fixture = sys.argv[1], json.load(open(sys.argv[2]))
recorded_version = json.loads(fixture["list_next"]["body"])["metadata"]["resourceVersion"]


def told(name):
    return os.path.exists(os.path.join(folder, name))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "unix"

    def log_message(self, *args):
        pass

    def answer(self, status, body):
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def recorded(self, name):
        self.answer(fixture[name]["status"], fixture[name]["body"])

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def stream(self, lines):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        for i, line in enumerate(lines):
            if told("break") and i == 1:
                self.chunk(line[:100])
                self.close_connection = True
                self.connection.close()
                return
            # in two pieces, as networks do
            self.chunk(line[:40])
            time.sleep(0.01)
            self.chunk(line[40:] + b"\n")
        if told("garbage"):
            self.chunk(b'{"type": ADDED\n')
        self.go_on()
        self.chunk(b"")

    # Until the other end goes.
    def go_on(self):
        for _ in range(6000):
            if told("end"):
                return
            path = os.path.join(folder, "say")
            if os.path.exists(path):
                data = open(path, "rb").read()
                os.remove(path)
                self.chunk(data)
            time.sleep(0.02)

    def watch(self, version):
        if version == "3" or told("expire"):
            self.recorded("watch_expired")
        elif version == recorded_version:
            self.stream(fixture["watch"]["body"].encode().split(b"\n")[:-1])
        else:
            self.stream([])

    def list(self, query):
        if "continue" in query and told("expire_page"):
            os.remove(os.path.join(folder, "expire_page"))
            self.recorded("list_expired")
            return
        name = "list_next" if "continue" in query else "list"
        body = fixture[name]["body"]
        self.answer(200, body[: len(body) // 2] if told("truncate") else body)

    # Not recorded, but written from the API's documentation: the server that was has no services.
    def services(self, query):
        if "watch" in query:
            self.stream([])
        else:
            self.answer(200, json.dumps(fixture["services"]))

    def do_GET(self):
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        with open(os.path.join(folder, "requests"), "a") as log:
            log.write(f"{self.command} {self.path} {token}\n")
        query = dict(urllib.parse.parse_qsl(self.path.partition("?")[2]))
        if told("hang"):
            time.sleep(60)
        elif told("status"):
            self.answer(int(open(os.path.join(folder, "status")).read()), "no JSON")
        elif token != "good":
            self.recorded("unauthorized")
        elif "/services?" in self.path:
            self.services(query)
        elif "watch" in query:
            self.watch(query["resourceVersion"])
        else:
            self.list(query)


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


Server(os.path.join(folder, "kube.sock"), Handler).serve_forever()
