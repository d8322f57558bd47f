"""A receiver of Farebox's webhooks. `pip install aiohttp standardwebhooks`, then `python webhook_receiver.py`."""

import logging
import os

from aiohttp import web
from standardwebhooks import Webhook

log = logging.getLogger("receiver")
SEEN: set[str] = set()  # in a database of yours: the same id again is the same event


async def receive(request: web.Request) -> web.Response:
    """Check the signature, answer at once, and act on each event once."""
    secret = os.environ["FAREBOX_WEBHOOK_SECRET"]
    event = Webhook(secret).verify(await request.text(), dict(request.headers))  # raises if it is not ours
    if event["id"] not in SEEN:
        SEEN.add(event["id"])
        log.info("%s: %s", event["type"], event["data"])
    return web.Response()


app = web.Application()
app.router.add_post("/farebox", receive)

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    web.run_app(app, host="127.0.0.1", port=9000)
