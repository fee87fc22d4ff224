"""The one place where all rooms meet: settings, database, the doors (API, web, SMS), the command line, the server."""

from __future__ import annotations

import gc

gc.disable()  # what is imported stays: looking for what died meanwhile takes a fifth of the start

import logging
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import click
from flask import Flask, Response, request
from flask.typing import ResponseReturnValue

from circular import api, cli, db, logs, personal, web
from circular import settings as configuration
from circular.settings import Settings, SettingsError
from sms import api as sms_api
from sms import cli as sms_cli
from sms import desk, diagnosis, messages, simulator, textpages, ussd, webhooks, worker

gc.freeze()
gc.enable()

SMALL_BODY = 64 * 1024  # bytes; the import of a file raises it for itself


class _App(Flask):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No view is a coroutine: Flask's own looks into each function that it calls, ten times a request."""
        return func


def create_app(settings: Settings | None = None) -> Flask:
    """The application. Raises: SystemExit with one line that names a wrong setting."""
    if settings is None:
        try:
            settings = configuration.load()
        except SettingsError as error:
            sys.exit(f"Wrong setting. {error}")
    configuration.use(settings)
    logs.configure()
    app = _App(__name__, static_folder=None)
    app.config.update(
        CIRCULAR=settings, SECRET_KEY=settings.secret_key, MAX_CONTENT_LENGTH=SMALL_BODY, SESSION_COOKIE_SAMESITE="Lax"
    )
    app.config.update(EXAMINERS=(diagnosis.examine,), ALARMS=(diagnosis.alarms,))
    try:
        db.open_database(settings.database_url)
    except OSError as error:
        sys.exit(f"Wrong setting. DATABASE_URL: the folder of its file cannot be made ({error.strerror}).")
    app.session_interface = simulator.Sessions()
    app.register_error_handler(Exception, _answer)
    web.init_app(app)
    app.before_request(_connect)
    api.init_app(app, sms_api.blueprint)
    app.register_blueprint(webhooks.blueprint)
    app.register_blueprint(textpages.blueprint)
    app.register_blueprint(simulator.blueprint)
    app.register_blueprint(desk.blueprint)
    personal.hold("messages", messages)
    personal.hold("ussd", ussd)
    cli.register(app)
    app.cli.add_command(sms_cli.sms)
    app.cli.add_command(serve)
    return app


def _connect() -> None:
    """Each server thread keeps its connection; liveness must not depend on it."""
    if request.path != "/healthz":
        db.connect()


def _answer(error: Exception) -> ResponseReturnValue:
    """Every error in the words of the door at which it happened."""
    if request.path.startswith(f"{api.PREFIX}/"):
        return api.problem_for(error)
    if request.path.startswith("/sms/"):
        return Response("", web.status_for(error), content_type="text/plain")
    return web.page_for(error)


@click.command()
def serve() -> None:
    """Serve the site and the API, and do the background work, until interrupted."""
    from flask import current_app

    from circular import serving

    settings: Settings = current_app.config["CIRCULAR"]
    cli.connect()
    if db.pending_migrations():
        sys.exit("The tables are not up to date: run `flask migrate` first.")
    db.close()
    signal.signal(signal.SIGTERM, _leave)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a queue of a few requests is no news
    _core = serving.take_a_core()  # before there are threads: they stay where this one is
    try:
        server = serving.listen(current_app.wsgi_app, settings)
    except OSError as error:
        sys.exit(f"Cannot listen on {settings.host}:{settings.port} ({error.strerror}): set HOST or PORT.")
    background = worker.start() if settings.background else None
    click.echo(_banner(settings), err=True)
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()
        if background is not None:
            background.stop()
            background.thread.join(
                15
            )  # what is in flight is marked; past the gateway's own time, the next start sees to it


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM is a request to finish what is in hand and go."""
    raise KeyboardInterrupt


def _banner(settings: Settings) -> str:
    site = f"http://{settings.host}:{settings.port}"
    demo = "  Data   made up, for demonstration\n" if settings.demo else ""
    texts = "try it in another terminal: .venv/bin/flask sms try; on a page: /phone"
    if not settings.demo:
        texts = (
            f"{settings.sms_gateway}, whose forms come to {settings.public_url or site}/sms/{settings.sms_gateway}/…"
        )
    return f"\nCircular is ready.\n  Site   {site}/\n  API    {site}{api.PREFIX}/docs/\n  SMS    {texts}\n{demo}"
