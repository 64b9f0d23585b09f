"""The study's page: over loopback, in a browser, behind links of its own."""

import http.client
import itertools
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect

import imharmony
from imharmony.evaluation.study.study import Study
from imharmony.images import files, photo
from imharmony.web.server import listen
from imharmony.web.study.app import create_study_app
from tests.web.browser import PATIENCE_MS

METHODS = ("input", "ours", "theirs")
IMAGES = ("a", "b")
# Three pairs of methods on two images.
NUM_TRIALS = 6
HOST = "127.0.0.1"


class StudyServer:
    """A study that is served from a thread."""

    def __init__(self, study: Study, **options: Any) -> None:
        self.study = study
        self._listener = listen(HOST, 0)
        config = uvicorn.Config(create_study_app(study, **options), log_config=None)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}
        )

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}/"

    def __enter__(self) -> "StudyServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture per method and image, each of its own gray."""
    root = tmp_path_factory.mktemp("pictures")
    for number, (method, image) in enumerate(itertools.product(METHODS, IMAGES)):
        (root / method).mkdir(exist_ok=True)
        picture = np.full((600, 800, 3), 30 + 20 * number, np.uint8)
        picture[::2, ::2] += 10  # something to see when it is magnified
        suffix = ".png" if method == "ours" else ".webp"
        files.write_photo(photo.from_array(picture), root / method / (image + suffix))
    return root


@pytest.fixture
def folder(pictures: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pictures, tmp_path / "study")


@pytest.fixture
def study(folder: Path) -> Study:
    return Study.of_folder(folder, seed=0)


def stored(path: Path) -> list[tuple[object, ...]]:
    database = sqlite3.connect(path)
    rows = database.execute("SELECT * FROM vote").fetchall()
    database.close()
    return rows


# Over loopback


class Browser:
    """A voter: keeps cookies, follows redirects."""

    def __init__(self, server: StudyServer) -> None:
        self.address = server.address
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(self.cookies),
        )

    def get(self, path: str = "") -> bytes:
        with self._opener.open(self.address + path, timeout=10) as answer:
            body: bytes = answer.read()
            return body

    def page(self) -> str:
        return self.get().decode()

    def vote(self, choice: str) -> str:
        """Send the form that is shown; return the next page."""
        (token,) = re.findall(r'name="trial" value="([^"]+)"', self.page())
        form = urllib.parse.urlencode({"trial": token, "choice": choice}).encode()
        with self._opener.open(self.address + "vote", form, timeout=10) as answer:
            body: bytes = answer.read()
            return body.decode()


@pytest.fixture
def server(study: Study) -> Iterator[StudyServer]:
    with StudyServer(study) as server:
        yield server


@pytest.fixture
def browser(server: StudyServer) -> Browser:
    return Browser(server)


def ask(
    server: StudyServer,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    **headers: str,
) -> http.client.HTTPResponse:
    """Send one request with headers of one's own; the body has been read."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=body, headers=names)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def pictures_in(page: str) -> list[str]:
    return re.findall(r'src="(picture/[^"]+)"', page)


def test_a_whole_study_over_the_page(browser: Browser, folder: Path) -> None:
    for number in range(NUM_TRIALS):
        assert f"{number + 1} of {NUM_TRIALS}" in browser.page()
        last = browser.vote(("left", "right", "skip")[number % 3])
    assert "Thank you" in last
    assert len(stored(folder / "votes.sqlite")) == 4


def test_the_page_shows_the_two_pictures(browser: Browser, server: StudyServer) -> None:
    tokens = pictures_in(browser.page())
    voter = next(iter(browser.cookies)).value
    trial = server.study.next_trial(str(voter))
    assert trial is not None
    for token, method in zip(tokens, trial.methods, strict=True):
        path = server.study.pictures[trial.image][method]
        assert browser.get(token) == path.read_bytes()


def test_pictures_say_their_kind(server: StudyServer, browser: Browser) -> None:
    kinds = set()
    for _ in range(NUM_TRIALS):
        for token in pictures_in(browser.page()):
            kinds.add(ask(server, "GET", "/" + token).getheader("Content-Type"))
        browser.vote("left")
    assert kinds == {"image/png", "image/webp"}


def test_no_name_reaches_the_browser(browser: Browser) -> None:
    texts = [browser.page(), *(browser.vote("left") for _ in range(NUM_TRIALS))]
    for name in (*METHODS, "a.png", "b.png", ".webp", "votes.sqlite"):
        shown = [re.sub(r"<input|<style.*?</style>", "", t, flags=re.S) for t in texts]
        assert not any(name in text for text in shown), name


def test_tokens_are_new_each_time(browser: Browser) -> None:
    seen = []
    for _ in range(NUM_TRIALS):
        seen += pictures_in(browser.page())
        browser.vote("left")
    assert len(set(seen)) == 2 * NUM_TRIALS


def test_a_picture_is_gone_when_its_trial_is_answered(browser: Browser) -> None:
    token = pictures_in(browser.page())[0]
    browser.vote("left")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        browser.get(token)


def test_two_browsers_are_two_voters(server: StudyServer, folder: Path) -> None:
    for _ in range(2):
        Browser(server).vote("left")
    assert len({row[1] for row in stored(folder / "votes.sqlite")}) == 2


def test_the_page_loads_nothing_from_elsewhere(
    browser: Browser, server: StudyServer
) -> None:
    page = browser.page()
    assert "http:" not in page
    assert "https:" not in page
    policy = ask(server, "GET", "/").getheader("Content-Security-Policy", "")
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "form-action 'self'" in policy
    assert "unsafe" not in policy


def test_the_page_works_without_its_script(browser: Browser) -> None:
    page = re.sub(r"<script.*?</script>", "", browser.page(), flags=re.S)
    assert len(re.findall(r'<button[^>]* ?name="choice"', page)) == 3
    assert 'form method="post" action="vote"' in page


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.2", ""])
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/vote")])
def test_another_host_is_refused(
    server: StudyServer, host: str, method: str, path: str
) -> None:
    assert ask(server, method, path, body=b"", Host=host).status == 403


def test_localhost_is_this_host(server: StudyServer) -> None:
    host = f"localhost:{server.port}"
    assert ask(server, "GET", "/", Host=host).status == 200


def test_a_form_from_another_site_is_refused(
    server: StudyServer, browser: Browser, folder: Path
) -> None:
    (token,) = re.findall(r'name="trial" value="([^"]+)"', browser.page())
    (cookie,) = browser.cookies
    form = f"trial={token}&choice=left".encode()
    answer = ask(
        server,
        "POST",
        "/vote",
        body=form,
        Origin="http://evil.example",
        Cookie=f"voter={cookie.value}",
    )
    assert answer.status == 403
    assert stored(folder / "votes.sqlite") == []


@pytest.mark.parametrize(
    "path",
    [
        "/picture/../votes.sqlite",
        "/picture/%2e%2e/votes.sqlite",
        "/votes.sqlite",
        "/picture/ours/a.png",
        "/picture//etc/passwd",
        "/picture/",
        "/etc/passwd",
        "//etc/passwd",
        "/../../etc/passwd",
        "/page/study.html",
        "/page/../app.py",
    ],
)
def test_no_path_is_opened(server: StudyServer, path: str) -> None:
    assert ask(server, "GET", path).status == 404


def test_other_posts_are_refused(server: StudyServer) -> None:
    assert ask(server, "POST", "/", body=b"").status == 405
    assert ask(server, "POST", "/vote", body=b"x" * 1001).status == 413
    assert ask(server, "PUT", "/vote", body=b"").status == 405


@pytest.mark.parametrize("body", [b"", b"trial=&choice=left", b"\xff\xfe", b"&&=%zz"])
def test_a_form_that_means_nothing_leads_back(
    server: StudyServer, folder: Path, body: bytes
) -> None:
    answer = ask(server, "POST", "/vote", body=body)
    assert (answer.status, answer.getheader("Location")) == (303, "./")
    assert stored(folder / "votes.sqlite") == []


@pytest.mark.parametrize("cookie", ["voter=", "voter=me", 'voter="a\\"b', "=;;=\x01"])
def test_a_strange_cookie_is_replaced(server: StudyServer, cookie: str) -> None:
    answer = ask(server, "GET", "/", Cookie=cookie)
    fresh = answer.getheader("Set-Cookie", "")
    assert re.match(
        r"voter=[\w-]{22}; HttpOnly; Max-Age=31536000; Path=/; SameSite=lax", fresh
    )


def test_a_picture_that_has_vanished_is_not_found(
    server: StudyServer, browser: Browser
) -> None:
    token = pictures_in(browser.page())[0]
    path = server.study.picture(token.removeprefix("picture/"))
    assert path is not None
    path.unlink()
    assert ask(server, "GET", "/" + token).status == 404


def test_a_vote_that_cannot_be_kept_is_not_passed_over(
    server: StudyServer, browser: Browser, folder: Path
) -> None:
    page = browser.page()
    (folder / "votes.sqlite").write_text("spoiled, and long enough to be looked at")
    with pytest.raises(urllib.error.HTTPError, match="500"):
        browser.vote("left")
    assert pictures_in(browser.page()) == pictures_in(page)  # still to be answered


def test_the_command_serves_until_it_is_interrupted(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "imharmony.cli", "study", str(folder), "--port", "0"],
        env=os.environ | {"PYTHONPATH": str(Path(imharmony.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address, timeout=30) as answer:
        assert b"Which looks more real?" in answer.read()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert err == "ended; --results prints the preferences\n"


def command(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "imharmony.cli", "study", *args],
        env=os.environ | {"PYTHONPATH": str(Path(imharmony.__file__).parents[1])},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


def test_a_port_that_is_taken_is_refused(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        done = command(str(folder), "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "cannot listen" in done.stderr


@pytest.mark.parametrize(
    "options", [["--host", "0.0.0.0"], ["--allow-host", "study.example"]]
)
def test_a_study_for_others_is_by_invitation(folder: Path, options: list[str]) -> None:
    done = command(str(folder), *options)
    assert done.returncode == 2
    assert "expected --raters" in done.stderr


# Raters elsewhere


@pytest.fixture
def invited(study: Study) -> Iterator[StudyServer]:
    raters = study.votes.invite(2)
    with StudyServer(study, raters=raters) as server:
        yield server


def test_links_stay_the_same(study: Study) -> None:
    first = study.votes.invite(2)
    assert list(first.values()) == ["rater 1", "rater 2"]
    more = study.votes.invite(3)
    assert list(more.items())[:2] == list(first.items())
    assert len(set(more)) == 3
    assert all(len(token) == 22 for token in more)


def test_rater_votes_under_a_name(invited: StudyServer, folder: Path) -> None:
    token = list(invited.study.votes.invite(2))[1]
    rater = Browser(invited)
    assert b"Which looks more real?" in rater.get(f"join/{token}")
    rater.vote("left")
    (row,) = stored(folder / "votes.sqlite")
    assert row[1] == "rater 2"


@pytest.mark.parametrize("path", ["", "join/x", "join/" + "A" * 22])
def test_stranger_sees_no_picture(path: str, invited: StudyServer) -> None:
    answer = ask(invited, "GET", "/" + path, Cookie=f"voter={'A' * 22}")
    assert answer.status == (404 if path else 200)
    assert "picture/" not in Browser(invited).page()
    assert "by invitation" in Browser(invited).page()


def test_stranger_has_no_vote(invited: StudyServer, folder: Path) -> None:
    trial = invited.study.next_trial("rater 1")
    assert trial is not None
    form = f"trial={trial.token}&choice=left".encode()
    answer = ask(
        invited, "POST", "/vote", body=form, Cookie=f"voter={'A' * 22}; token=rater 1"
    )
    assert answer.status == 303
    assert stored(folder / "votes.sqlite") == []


# In Chromium


@pytest.fixture
def page(chromium: Chromium, server: StudyServer) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.goto(server.address)
    yield page
    context.close()
    assert errors == []


def expect_number(page: Page, number: int) -> None:
    expect(page.locator("header p")).to_contain_text(f"{number} of {NUM_TRIALS}")
    page.wait_for_load_state()  # keys are heard from then on


def trial_of(page: Page, server: StudyServer) -> tuple[str, ...]:
    """Return image and methods of what is shown."""
    voter = next(c for c in page.context.cookies() if c.get("name") == "voter")
    trial = server.study.next_trial(str(voter.get("value")))
    assert trial is not None
    return trial.image, *trial.methods


@pytest.mark.browser
def test_votes_by_mouse_and_by_keys(
    page: Page, server: StudyServer, folder: Path
) -> None:
    """Every vote ended in "Forbidden" once: the browser hid the form's origin."""
    acts: dict[str, Callable[[], Any]] = {
        "left": lambda: page.click('[value="left"] img'),
        "right": lambda: page.get_by_text("Right looks more real").click(),
        "ArrowLeft": lambda: page.keyboard.press("ArrowLeft"),
        "ArrowRight": lambda: page.keyboard.press("ArrowRight"),
        "ArrowDown": lambda: page.keyboard.press("ArrowDown"),
        "Enter": lambda: page.get_by_role("button", name="Left looks").press("Enter"),
    }
    expected = []
    for number, (name, act) in enumerate(acts.items(), 1):
        expect_number(page, number)
        shown = trial_of(page, server)
        if name != "ArrowDown":
            expected.append((*shown, shown[2 if "ight" in name else 1]))
        act()
    expect(page.get_by_role("heading")).to_have_text("Thank you")
    assert [row[2:] for row in stored(folder / "votes.sqlite")] == expected


@pytest.mark.browser
def test_pictures_fill_the_window(page: Page) -> None:
    for side in ("left", "right"):
        box = page.locator(f'[value="{side}"] img').bounding_box()
        assert box is not None
        assert box["width"] > 600
        assert box["height"] > 620
        assert box == page.locator(f'[value="{side}"] .frame').bounding_box()
    height = page.evaluate("document.documentElement.scrollHeight")
    assert height == 800


def transforms(page: Page) -> list[str]:
    script = "pictures => pictures.map((p) => p.style.transform)"
    return list(page.eval_on_selector_all(".frame img", script))


@pytest.mark.browser
def test_zoom_shows_the_same_part_of_both(page: Page, folder: Path) -> None:
    page.mouse.move(200, 300)
    page.mouse.wheel(0, -100)
    expect(page.locator("output")).to_have_text("125 %")
    first, second = transforms(page)
    assert first == second
    assert "scale(1.25)" in first
    page.mouse.down()
    page.mouse.move(240, 330, steps=5)
    page.mouse.up()
    moved, also = transforms(page)
    assert moved == also != first
    # A drag is no vote.
    expect_number(page, 1)
    assert stored(folder / "votes.sqlite") == []


@pytest.mark.browser
def test_zoom_works_by_keys_and_buttons(page: Page) -> None:
    zoom = page.locator("output")
    page.keyboard.press("+")
    expect(zoom).to_have_text("125 %")
    page.keyboard.press("-")
    expect(zoom).to_have_text("100 %")
    page.get_by_role("button", name="Pixels").click()
    # Frames are about 610 pixels wide, pictures 800.
    assert 105 < int(zoom.inner_text().split()[0]) < 145
    before = transforms(page)
    page.keyboard.press("Shift+ArrowLeft")
    assert transforms(page) != before
    page.keyboard.press("0")
    expect(zoom).to_have_text("100 %")
    expect_number(page, 1)


@pytest.mark.browser
def test_one_pair_is_answered_once(page: Page, folder: Path) -> None:
    page.evaluate("""() => {
      for (let i = 0; i < 5; i++) document.querySelector("[value=left]").click();
    }""")
    expect_number(page, 2)
    assert len(stored(folder / "votes.sqlite")) == 1


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_screen_readers_can_follow(page: Page, width: int, tmp_path: Path) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    # On a phone one picture lies above the other.
    sides = ("Left", "Right") if width == 1280 else ("Upper", "Lower")
    names = *(f"{side} looks more real" for side in sides), "I cannot tell"
    for number in (1, 2):
        expect_number(page, number)
        # Reading begins at the question, after each answer too.
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        for name in names:
            expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()
        assert f"{number} of {NUM_TRIALS}" in page.title()
        axe = resources.files("axe_playwright_python").joinpath("axe.min.js")
        page.evaluate(axe.read_text())
        violations = page.evaluate("axe.run()")["violations"]
        assert [violation["id"] for violation in violations] == []
        page.keyboard.press("ArrowLeft")


@pytest.mark.browser
def test_works_without_its_script(
    chromium: Chromium, server: StudyServer, folder: Path
) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(server.address)
    page.click('[value="right"]')
    expect_number(page, 2)
    assert len(stored(folder / "votes.sqlite")) == 1
    context.close()


@pytest.mark.browser
def test_link_leads_into_the_study(chromium: Chromium, invited: StudyServer) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(invited.address)
    expect(page.get_by_role("heading")).to_have_text("This study is by invitation")
    (token, *_) = invited.study.votes.invite(2)
    page.goto(f"{invited.address}join/{token}")
    expect_number(page, 1)
    page.keyboard.press("ArrowLeft")
    expect_number(page, 2)
    context.close()
