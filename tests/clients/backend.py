"""The backend that the suites' gateway stands before: every session is known, a user has an account, and everybody may
revoke any session. What changes is pushed."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SESSIONS = "/api/v1/internal/sessions/"
ACCOUNT = "/api/v1/user/account"
REVOKE = "/api/v1/user/session/revoke"
# Of the private seed 000102…1f, with which every suite signs.
DEVICE_PUBLIC_KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="


class Backend(BaseHTTPRequestHandler):
    # What is told of changes, as pushing.py has it.
    push = None
    protocol_version = "HTTP/1.1"
    timeout = 30
    # Head and body are two writes, and the second would wait for the acknowledgement of the first.
    disable_nagle_algorithm = True

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path.startswith(SESSIONS):
            session = path.removeprefix(SESSIONS)
            self.answer(200, {
                "device_session_id": session,
                "user_id": f"user-of-{session}",
                "status": "active",
                "client_public_key": DEVICE_PUBLIC_KEY,
            })
        elif path == ACCOUNT:
            self.answer(200, {"user_id": self.headers["X-User-Id"], "name": "Ada"})
        else:
            self.answer(404, {"code": "route.unknown"})

    def do_PATCH(self):
        body = self.body()
        if self.path == ACCOUNT and body.get("name"):
            user_id = self.headers["X-User-Id"]
            payload = json.dumps({"name": body["name"]}, ensure_ascii=False).encode()
            self.push.renamed(user_id, self.headers["X-Request-Id"], payload)
            self.answer(200, {"user_id": user_id, "name": body["name"]})
        else:
            self.answer(422, {"error": {"code": "name.invalid"}})

    def do_POST(self):
        if self.path == REVOKE:
            self.push.revoked(self.body()["device_session_id"])
            self.answer(200, {"status": "revoked"})
        else:
            self.answer(404, {"code": "route.unknown"})

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """A suite's output is its checks."""


def listen(push):
    """A backend that is bound to a free port, and answers once `serve_forever` runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Telling", (Backend,), {"push": push}))
    server.daemon_threads = True
    return server
