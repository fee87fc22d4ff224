"""Where providers knock: `POST /sms/<gateway>/<secret>/{inbound|receipt|ussd|optout}`.

A form is stored, the worker is woken, and the answer is 200, whatever the state of the provider's other direction. The
reply goes out through the provider's API. Most providers sign nothing: the secret in the path is all there is, so it is
compared in constant time, never logged, and a wrong one looks like a page that does not exist. So does a wrong signature
of a provider that signs.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
from collections.abc import Callable

from flask import Blueprint, Response, abort, current_app, request
from flask.typing import ResponseReturnValue

from circular import db, people
from circular.errors import Refusal
from sms import gateways, messages, ussd, worker
from sms.gateways.base import Gateway, Inbound, Knock, MalformedError, News, NotTheProviderError, Receipt, UssdEnd

blueprint = Blueprint("sms", __name__)
log = logging.getLogger(__name__)
MOST_BYTES = 256 * 1024  # 10,000 characters of four bytes, each byte written as %F0, are 120,000


def _gateway(name: str, secret: str) -> Gateway:
    """The gateway of a webhook path; 404 when its name or secret is wrong, and for the console outside the demo."""
    settings = current_app.config["CIRCULAR"]
    right = hmac.compare_digest(secret.encode("utf-8", "replace"), settings.sms_webhook_secret.encode())
    pretended = name == "console" and not settings.demo
    if not right or not gateways.known(name) or pretended:
        abort(404)
    request.max_content_length = MOST_BYTES
    return gateways.build(settings, name)


def _knock() -> Knock:
    """The request, without a web framework."""
    body = request.get_data(cache=True)  # before the form is read: a signature is over the bytes
    form = request.form if request.form or request.method == "POST" else request.args
    return Knock(
        form=form.to_dict(),
        query=request.query_string,
        body=body,
        headers={name.lower(): value for name, value in request.headers.items()},
    )


def _take(gateway: str, parse: Callable[[Knock], News]) -> ResponseReturnValue:
    """Keep what a request brings, whatever the address: a phone has one for all its news."""
    try:
        news = parse(_knock())
    except NotTheProviderError as error:
        log.warning("%s: somebody knocked who is not the provider: %s", gateway, error)
        abort(404)
    except MalformedError as error:
        return str(error), 400
    if isinstance(news, Inbound):
        messages.store_inbound(gateway, news)
        worker.wake.set()
    elif isinstance(news, Receipt):
        messages.store_receipt(gateway, news)
    return "", 200


# GET as well: Kannel knocks so.
@blueprint.route("/sms/<gateway>/<secret>/inbound", methods=("GET", "POST"))
def inbound(gateway: str, secret: str) -> ResponseReturnValue:
    """A message for us. 400 for a form that no provider sends (no sender)."""
    return _take(gateway, _gateway(gateway, secret).parse_inbound)


@blueprint.route("/sms/<gateway>/<secret>/receipt", methods=("GET", "POST"))
def receipt(gateway: str, secret: str) -> ResponseReturnValue:
    """What became of a message of ours. Unknown statuses are kept and answered 200."""
    return _take(gateway, _gateway(gateway, secret).parse_receipt)


@blueprint.post("/sms/<gateway>/<secret>/optout")
def opt_out(gateway: str, secret: str) -> ResponseReturnValue:
    """The provider was told STOP by somebody: the same as if we had been. A number that is nobody's ends nothing."""
    knocker = _gateway(gateway, secret)
    try:
        said = knocker.parse_opt_out(_knock()).phone
    except MalformedError:
        return "no number", 400
    with contextlib.suppress(Refusal):
        messages.stop(people.normalize_phone(said))
    return "", 200


@blueprint.post("/sms/<gateway>/<secret>/ussd")
def ussd_step(gateway: str, secret: str) -> ResponseReturnValue:
    """A step of a USSD session, answered `CON …` or `END …`; or the notice that a session is over."""
    knocker = _gateway(gateway, secret)
    try:
        step = knocker.parse_ussd(_knock())
    except MalformedError as error:
        return str(error), 400
    if isinstance(step, UssdEnd):
        ussd.close(gateway, step)
        return "", 200
    try:
        shown = ussd.answer(gateway, step)
    except Exception as error:  # anything but 200 and CON or END is a dead screen
        log.exception("a USSD step could not be answered")
        db.drop_broken_connection(error)
        shown = ussd.sorry()
    worker.wake.set()  # what was reserved is also said by SMS
    return Response(knocker.answer_ussd(shown.text, ends=shown.ends), content_type="text/plain; charset=utf-8")


@blueprint.before_request
def _connect() -> None:
    db.connect()
