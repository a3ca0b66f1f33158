"""Serves the pages of a folder from two origins, of which the gateway of gateway.yaml allows one, runs a suite that
visits them and ends with its exit code.

    pages.py FOLDER COMMAND...

The suite finds in its environment, beside what stage.py gives every suite: ORIGIN and FOREIGN_ORIGIN, the origins;
EDGE and EDGE_TLS, the URLs of the edge API.
"""

import functools
import sys
import tempfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import scene
import stage


class Pages(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """A suite's output is its checks."""


def listen(folder):
    return ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Pages, directory=folder))


def main():
    stage.end_with_exit()
    folder, *command = sys.argv[1:]
    with (
        stage.serving(listen(folder)) as origin,
        stage.serving(listen(folder)) as foreign_origin,
        tempfile.TemporaryDirectory() as secrets,
    ):
        certificate, key = stage.self_signed(secrets)
        variables = {"ORIGIN": origin, "TLS_CERTIFICATE": certificate, "TLS_KEY": key}
        with scene.serving(Path(__file__).with_name("gateway.yaml"), **variables) as listeners:
            code = stage.run(
                command,
                ORIGIN=origin,
                FOREIGN_ORIGIN=foreign_origin,
                EDGE=f"http://{listeners['edge']}",
                EDGE_TLS=f"https://{listeners['edge_tls']}",
            )
    sys.exit(code)


if __name__ == "__main__":
    main()
