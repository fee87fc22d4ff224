"""The web door: pages for people, without JavaScript, and what every response of the program carries.

`pages` asks the nouns, `rendering` turns what they say into HTML. The one stylesheet is inlined, so that a first visit
costs one request; its hash in the Content-Security-Policy is constant.
"""

from __future__ import annotations

from flask import Flask, Response, redirect, request
from flask.typing import ResponseReturnValue

from circular import i18n, rendering, settings
from circular.http import headers_of, refusal_of, sentence, status_of
from circular.web import counter, desk, health, pages

LANGUAGE_KEPT = 365 * 86_400  # seconds
POLICY = (
    f"default-src 'none'; style-src '{rendering.STYLE_HASH}'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
GUARDS = {  # of whatever is answered
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
OF_PAGES = (
    GUARDS
    | {  # JSON has no links, scripts nor window: nobody would read these there, and writing them takes time
        # Not `no-referrer`: under it browsers send `Origin: null` with our own forms too, and they could not be told from
        # another site's. Other sites get no referrer either way.
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
)


def init_app(app: Flask) -> None:
    """Add the pages, and to every response its language and its security headers."""
    rendering.init_app(app)
    app.before_request(_choose_language)
    app.after_request(_finish)
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(desk.blueprint)
    app.register_blueprint(counter.blueprint)
    app.register_blueprint(health.blueprint)


def _choose_language() -> None:
    """`?lang=`, else the choice kept, else what the browser asks for, else the town's."""
    kept = request.cookies.get("lang") if "HTTP_COOKIE" in request.environ else None  # programs keep none
    for asked in (request.args.get("lang"), kept):
        if asked in i18n.LANGUAGES:
            i18n.set_language(asked)
            return
    accepted = i18n.negotiate(request.headers.get("Accept-Language"))
    i18n.set_language(accepted or settings.get().default_locale)


def _finish(response: Response) -> Response:
    given = {name for name, _ in response.headers}
    guards = GUARDS if response.is_json else OF_PAGES
    response.headers.extend((name, value) for name, value in guards.items() if name not in given)
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    chosen = request.args.get("lang")
    if chosen in i18n.LANGUAGES:
        response.set_cookie(
            "lang", chosen, max_age=LANGUAGE_KEPT, samesite="Lax", httponly=True, secure=request.is_secure
        )
    return response


def status_for(error: Exception) -> int:
    """The HTTP status of any exception, for answers without words."""
    return status_of(refusal_of(error))


def page_for(error: Exception) -> ResponseReturnValue:
    """Any exception as a page that says what the API's problem would say."""
    refusal = refusal_of(error)
    if refusal.code == "sign_in_needed":
        return redirect("/desk/login", 303)
    same = None if request.method in ("GET", "HEAD") else "/"  # a form's address cannot be opened as a link
    response = rendering.page("error.html", status_of(refusal), at=same, refusal=refusal, said=sentence(refusal))
    response.headers.update(headers_of(refusal, error))
    return response
