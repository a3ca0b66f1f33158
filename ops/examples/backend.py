#!/usr/bin/env python3
"""A backend for Portcullis, in memory: `backend.py [PORT]`. It trusts X-User-Id, so nobody but the gateway may reach it."""

import json
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sessions, names = {}, {}


class Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # One write for head and body.

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path.startswith("/api/v1/internal/sessions/"):
            session = sessions.get(path.rpartition("/")[2])
            self.answer(200, session) if session else self.answer(404, {})
        elif path == "/api/v1/account":
            self.answer(200, {"name": names.get(self.headers["X-User-Id"], "nobody")})
        else:
            self.answer(404, {"error": {"code": "game.unknown"}})

    def do_POST(self):  # Sign-in. A real one checks who it is first.
        session = {"device_session_id": str(uuid.uuid4()), "user_id": "ada", "status": "active",
                   "client_public_key": self.body()["public_key"]}
        sessions[session["device_session_id"]] = session
        self.answer(200, {"device_session_id": session["device_session_id"]})

    def do_PATCH(self):
        name = self.body().get("name")
        if not name:
            return self.answer(422, {"error": {"code": "name.invalid"}})
        names[self.headers["X-User-Id"]] = name
        self.answer(200, {"name": name})

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8081), Backend)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
