#!/usr/bin/env bash
# huggingface_hub 1.33.0: no large file comes from a Hub whose storage is another port of the same host.
#
# Expected: `hf_hub_download` reads a large file's commit and size from the Hub's answer, a redirect to its storage, as versions before and after
#   do: 1.5.0 and 2.4.0 take the same file from the same two servers.
# Seen: 1.33.0 follows the redirect of HEAD, because it compares hosts without their ports, asks the storage for the commit, and ends with
#   LocalEntryNotFoundError: "missing the 'X-Repo-Commit' header". With the storage at another name of the same host the file comes.
# Matters: a Hub of one's own on one machine (a mirror with an object store beside it, or a test server) fails for whoever has this version, with
#   advice about proxies and certificates. Loopback tests of a Hub have to give its storage another host name.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cat > "$work/probe.py" <<'P'
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
from huggingface_hub import hf_hub_download

DATA, COMMIT, DIGEST = b"weights" * 1000, "c" * 40, "d" * 64


def serve(answer):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = answer()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def download(storage_host):
    storage = serve(lambda: (200, {"ETag": f'"{DIGEST}"'}, DATA))
    told = {"X-Repo-Commit": COMMIT, "ETag": '"e"', "X-Linked-Etag": f'"{DIGEST}"', "X-Linked-Size": str(len(DATA))}
    hub = serve(lambda: (302, {**told, "Location": f"http://{storage_host}:{storage}/blob"}, b""))
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = hf_hub_download("org/name", "model.safetensors", endpoint=f"http://127.0.0.1:{hub}", cache_dir=folder)
        except Exception as error:
            return f"{type(error).__name__}: {str(error).split(', so')[0]}"
        return "the file" if open(path, "rb").read() == DATA else "another file"


found = {host: download(host) for host in ("127.0.0.1", "localhost")}
print(f"huggingface_hub {huggingface_hub.__version__}, storage at the host of the Hub: {found['127.0.0.1']}; at another name: {found['localhost']}")
assert found["localhost"] == "the file", "the control does not download: nothing follows"
fails = "LocalEntryNotFoundError" in found["127.0.0.1"] and "X-Repo-Commit" in found["127.0.0.1"]
assert fails == (sys.argv[1] == "fails"), "the behaviour has changed"
P
for version in 1.5.0:works 1.33.0:fails 2.4.0:works; do
  python3 -m venv "$work/${version%:*}"
  "$work/${version%:*}/bin/pip" install -q --disable-pip-version-check "huggingface_hub==${version%:*}" 2>/dev/null
  HF_HUB_DISABLE_XET=1 HF_HUB_DISABLE_PROGRESS_BARS=1 "$work/${version%:*}/bin/python" "$work/probe.py" "${version#*:}"
done
