"""Harmonize a composite by the HTTP API; needs httpx.

Usage: python harmonize.py http://127.0.0.1:8000/ composite.png mask.png harmonized.png
"""

import json
import os
import sys
from pathlib import Path

import httpx

server, composite, mask, target = sys.argv[1:]
token = os.environ.get("IMHARMONY_TOKEN")
with Path(composite).open("rb") as photo, Path(mask).open("rb") as region:
    answer = httpx.post(
        f"{server}api/v1/harmonize",
        files={"composite": photo, "mask": region},
        data={"strength": "0.8"},
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=120,
    )
if answer.is_error:
    sys.exit(answer.json()["error"]["message"])
Path(target).write_bytes(answer.content)
sys.stdout.write(f"label: {answer.headers['Imharmony-Label']}\n")
for warning in json.loads(answer.headers["Imharmony-Warnings"]):
    sys.stdout.write(f"warning: {warning}\n")
