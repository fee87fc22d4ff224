"""What the documents say is so: settings, commands, words, links, the first conversation, and every example that runs."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import click
import pytest
from babel.messages.pofile import read_po
from flask import Flask
from flask.testing import FlaskClient

from circular import alerts, catalog, draws, errors, gifts, i18n, kits, reservations, settings, slots, waitlist
from circular.settings import Settings, variable
from sms.commands import KEYWORDS
from tests.sms import conversation

ROOT = settings.ROOT
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/languages.md", "docs/gateways.md", "docs/draws.md")
SITE = "http://127.0.0.1:8000"  # as the documents write it
PATIENCE = 60  # seconds that anything started here may take before it is stopped, which fails the test


def rows(start: str) -> list[list[str]]:
    """The cells of README's table whose header starts so; `\\|` is a bar inside a cell."""
    lines = README[README.index(f"\n| {start}") + 1 :].splitlines()
    table = lines[: next(n for n, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table if "|---" not in line]


def shown(default: object) -> str:
    """A default as a person writes it in the environment."""
    if isinstance(default, bool):
        return str(default).lower()
    text = " ".join(default) if isinstance(default, tuple) else str(default)
    return text.replace(str(ROOT), "<repository>")


# --- settings, commands, words ----------------------------------------------------------------------------------------
def test_every_setting_is_documented() -> None:
    """Each with the default that the program has, and none that it has not."""
    documented = {name: (default, meaning) for name, default, meaning in rows("variable")[1:]}

    assert all(meaning for _, meaning in documented.values())
    assert {name: default for name, (default, _) in documented.items()} == {
        f"`{variable(field.name)}`": f"`{shown(field.default)}`" if shown(field.default) else "(empty)"
        for field in dataclasses.fields(Settings)
    }


def test_example_environment_holds_every_default() -> None:
    """Uncommenting a line of `.env.example` changes nothing, and no secret is in it."""
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()

    assert [line for line in lines if re.match("# [A-Z_]+=", line)] == [
        f"# {variable(field.name)}={shown(field.default)}" for field in dataclasses.fields(Settings)
    ]
    assert all(line.startswith("#") for line in lines if line)


def commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    """Our own commands below a group, by what one types. Those that libraries add are theirs to document."""
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")
        elif command.callback and command.callback.__module__.split(".")[0] in ("app", "circular", "sms"):
            yield f"{name} {word}", command


def test_every_command_is_documented(_app: Flask) -> None:
    """Each with its arguments and options, and none that does not exist."""
    documented = {}
    for cell, meaning in rows("command")[1:]:
        assert meaning, cell
        words = cell.strip("`").replace("\\|", "|").split()
        documented[" ".join(words[: 3 if words[1] in ("sms", "draw") else 2])] = cell
    found = dict(commands(_app.cli, "flask"))

    assert documented.keys() == found.keys()
    for name, command in found.items():
        for param in command.params:
            word = param.opts[0] if isinstance(param, click.Option) else param.make_metavar(click.Context(command))
            options = param.type.choices if isinstance(param.type, click.Choice) else [word]
            assert all(option in documented[name] for option in options), (name, param.name)


def test_every_word_is_documented() -> None:
    """In the row of what it means and the column of its language."""
    header, *found = rows("intent")
    documented = {
        row[0]: {language: words for language, cell in zip(header[1:], row[1:], strict=True)
                 if (words := re.findall("`([^`]+)`", cell))}
        for row in found
    }  # fmt: skip

    assert documented == KEYWORDS


# --- refusals by SMS --------------------------------------------------------------------------------------------------
def refusals_of(function: Any) -> set[str]:
    """The codes that a verb of a noun says it raises."""
    raises = re.findall(r"Refusal\(([^)]*)\)", function.__doc__)
    return set(re.findall('"([a-z_]+)"', " ".join(raises)))


# What the SMS door calls, and what the storage may say to anybody.
MET_BY_SMS = {
    *refusals_of(reservations.reserve) - {"slot_not_allowed"}, *refusals_of(reservations.cancel),
    *refusals_of(reservations.extend),
    *refusals_of(waitlist.join) - {"slot_not_allowed"}, *refusals_of(waitlist.take), *refusals_of(alerts.stop),
    *refusals_of(catalog.get),
    *refusals_of(kits.reserve) - {"no_such_project", "invalid"},  # by SMS no listing is there, and no slot is given
    *refusals_of(alerts.add) - {"invalid"},  # by SMS an alert is words alone, and never too many
    *refusals_of(slots.check), *refusals_of(slots.check_time) - {"too_long", "not_on_grid"},  # one of those that are free
    *refusals_of(draws.ask), *refusals_of(draws.leave), *refusals_of(gifts.give), "storage_full", "busy",
}  # fmt: skip


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_every_refusal_has_words_by_sms(language: str) -> None:
    """In every language's own catalogue, not by falling back to French."""
    with (i18n.DOMAINS["sms"] / language / "LC_MESSAGES" / "sms.po").open("rb") as file:
        written = {str(text.id) for text in read_po(file, locale=i18n.STAND_INS[language]) if text.id and text.string}

    assert {"no_such_listing", "sold_out", "already_ended"} <= MET_BY_SMS <= errors.REFUSALS.keys()
    assert {f"refusal_{code}" for code in MET_BY_SMS} - written == set()


# --- files ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    """Links to files of the repository, pictures too, and to titles of the same document."""
    text = (ROOT / document).read_text("utf-8")
    slugs = {
        re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall("^#+ (.+)$", text, re.M)
    }
    targets = re.findall(r'\]\(([^)\s]+)\)|src="([^"]+)"', text)

    for target in (link or picture for link, picture in targets):
        path, _, fragment = target.partition("#")
        if "://" not in target:
            assert ((ROOT / document).parent / path).exists(), target
            assert path or fragment in slugs, target


def test_map_shows_what_is_there() -> None:
    """Every path of the map exists, and every module of ground, nouns and SMS is on it."""
    block = README[README.index("```text\napp.py") :]
    mapped = {line.split()[0].rstrip("/") for line in block[: block.index("\n```")].splitlines()[1:]}
    modules = {str(path.relative_to(ROOT)) for room in ("circular", "sms") for path in (ROOT / room).glob("*.py")}

    assert [path for path in mapped if not (ROOT / path).exists()] == []
    assert {path for path in modules if not path.endswith("__init__.py")} - mapped == {"sms/cli.py"}


def test_no_file_names_a_package_registry() -> None:
    """Whoever installs this may use a mirror: an address written into a file would go past it."""
    hosts = [
        ".".join(parts).encode() for parts in (("pypi", "org"), ("python" + "hosted", "org"), ("npm" + "js", "org"))
    ]
    hosts += [b"python" + b"hosted", b"npm" + b"js"]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    files = [ROOT / os.fsdecode(name) for name in listed.split(b"\0") if name]

    assert len(files) > 50
    assert [path.name for path in files if path.is_file() and any(host in path.read_bytes() for host in hosts)] == []


# --- the first screen -------------------------------------------------------------------------------------------------
def test_first_conversation_is_true(client: FlaskClient) -> None:
    """To the letter, but for the pickup code and the day."""
    found = re.search(r"<!-- conversation -->\n```text\n(.+?)```", README, re.S)
    assert found
    script = found[1]
    for code in set(re.findall(r"CODE (\d{4})", script)):
        script = re.sub(rf"\b{code}\b", "{pin}", script)
    script = re.sub(r"\b\w{3} \d\d/\d\d\b", "{day}", script)
    assert "{pin}" in script and "{day}" in script

    conversation.play(client, f"given 41271 Planche sapin 200x20 cm: 40 piece bois-planche\n{script}")


# --- examples ---------------------------------------------------------------------------------------------------------
class Example(NamedTuple):
    """A command of a console block and what the document shows of its output."""

    command: str
    output: str


# What no two runs have in common: what is shown stands for what came, in the commands that follow.
EXAMPLES = {"id", "code", "pickup_code", "listing", "expires_at"}
FIXED = {"41271"}  # a code that the demonstration gives


def read_console(block: str) -> list[Example]:
    """`$ command`, continued by lines after a backslash, inside quotes or after `> `; then its output."""
    found: list[Example] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Example(line[2:], ""))
            continue
        command, output = found.pop()
        if not output and (line.startswith("> ") or _is_open(command)):
            found.append(Example(f"{command}\n{line.removeprefix('> ')}", ""))
        else:
            found.append(Example(command, f"{output}{line}\n"))
    return found


def _is_open(command: str) -> bool:
    """True when a shell would wait for another line."""
    return command.endswith("\\") or command.count("'") % 2 == 1


def compare(expected: Any, got: Any, stand_ins: dict[str, str], name: str = "") -> None:
    """Every key that is shown is there with its value; lists are as shown as far as they are."""
    if isinstance(expected, dict):
        assert isinstance(got, dict) and expected.keys() <= got.keys(), (expected, got)
        for key, value in expected.items():
            compare(value, got[key], stand_ins, key)
    elif isinstance(expected, list):
        assert isinstance(got, list) and len(expected) <= len(got), (expected, got)
        for one, other in zip(expected, got, strict=False):
            compare(one, other, stand_ins)
    elif name in EXAMPLES and expected not in FIXED:
        assert isinstance(got, str) and re.sub(r"\w", "x", got) == re.sub(r"\w", "x", expected), (name, expected, got)
        assert stand_ins.setdefault(expected, got) == got, (name, expected, got)
    else:
        assert got == expected, (name, expected, got)


@contextlib.contextmanager
def serving(environment: dict[str, str]) -> Iterator[None]:
    """`flask serve` in a process of its own, from the moment it says that it is ready."""
    with subprocess.Popen(
        [sys.executable, "-m", "flask", "serve"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr
        watchdog = threading.Timer(PATIENCE, process.kill)  # the end of its output ends the loop below
        watchdog.start()
        try:
            said: list[str] = []
            for line in process.stderr:
                said.append(line)
                if "Circular is ready" in line:
                    break
            assert said and "Circular is ready" in said[-1], "".join(said)
            watchdog.cancel()
            yield
        finally:
            watchdog.cancel()
            process.terminate()
            process.communicate(timeout=PATIENCE)


def run(arguments: Sequence[str], environment: dict[str, str], folder: pathlib.Path) -> str:
    """What a command writes; it must end well."""
    done = subprocess.run(
        arguments, env=environment, cwd=folder, text=True, timeout=PATIENCE, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, (arguments, done.stdout)
    return done.stdout


def test_examples_of_readme_run(tmp_path: pathlib.Path) -> None:
    """Every console block marked `<!-- run -->`, in order, against a server with the demonstration's data."""
    blocks = re.findall(r"<!-- run -->\n```console\n(.+?)```", README, re.S)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        **{variable(field.name): "" for field in dataclasses.fields(Settings)},  # an empty value is the default
        "DATABASE_URL": f"sqlite:///{tmp_path}/demo.db",
        "PORT": str(port),
        "FLASK_APP": str(ROOT / "app.py"),
    }
    flask = f"{sys.executable} -m flask"
    for command in ("migrate", "seed"):
        run([*flask.split(), command], environment, tmp_path)
    stand_ins: dict[str, str] = {}

    ran = 0
    with serving(environment):
        for written, output in (example for block in blocks for example in read_console(block)):
            ran += 1
            command = written.replace(SITE, f"http://127.0.0.1:{port}").replace(".venv/bin/flask", flask)
            if stand_ins:
                command = re.sub(rf"\b({'|'.join(stand_ins)})\b", lambda found: stand_ins[found[0]], command)
            if "curl" in command:
                assert "curl -f" in command, "without -f, curl ends well whatever the server answers"
            assigned = re.match(r"(\w+)=", command)
            if assigned:
                script = f'{command}\nprintf %s "${assigned[1]}"'
                environment[assigned[1]] = run(["bash", "-ec", script], environment, tmp_path)
                assert environment[assigned[1]] and not output
            elif output.startswith("{"):
                got = run(["bash", "-ec", command], environment, tmp_path)
                compare(json.loads(output.replace(", …", "")), json.loads(got), stand_ins)
            else:
                assert run(["bash", "-ec", command], environment, tmp_path) == output, command

    assert ran >= 10
