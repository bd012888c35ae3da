"""The pages in a real browser: scripts run, the policy holds, live parts move."""

import os
import shutil

import pytest

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium():
    if not os.access(CHROMIUM, os.X_OK):
        pytest.skip("no chromium: ./tests/install-browser as root installs it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A page that fails its test if anything is refused, missing, or fetched from elsewhere."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints = []
    page.on("console", lambda m: m.type in ("error", "warning") and complaints.append(m.text))
    page.on(
        "response", lambda r: r.ok or r.status == 303 or complaints.append(f"{r.status} {r.url}")
    )
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.on("requestfailed", lambda r: _left(r) or complaints.append(f"failed: {r.url}"))
    page.on("request", lambda r: _local(r.url) or complaints.append(f"foreign: {r.url}"))
    yield page
    context.close()
    assert complaints == []


def _left(request):
    """The page was left before its pictures had come."""
    return request.failure == "net::ERR_ABORTED"


def _local(url):
    return url.startswith(("http://127.0.0.1:", "data:", "file:"))


def test_a_sweep_moves_on_the_page_without_reloading(page, url, client, spec, answer_runs):
    client.post("/v1/sweeps", json=spec)
    page.goto(f"{url}/sweeps/1")
    page.get_by_text("0 of 5 runs over").wait_for()
    page.evaluate("window.stayed = true")
    answer_runs(leave=2)
    page.get_by_text("3 of 5 runs over").wait_for(timeout=15_000)
    assert page.evaluate("window.stayed")


def test_a_page_is_loaded_anew_when_its_sweep_ends(page, url, client, spec, answer_runs):
    client.post("/v1/sweeps", json=spec)
    page.goto(f"{url}/sweeps/1")
    answer_runs()
    page.get_by_role("button", name="fit all approaches").wait_for(timeout=15_000)
    assert page.locator(".state.finished").count() == 6


def test_the_main_job_by_mouse(page, url, client, spec, answer_runs):
    client.post("/v1/sweeps", json=spec)
    answer_runs()
    page.goto(url)
    page.get_by_role("link", name="tiny").click()
    page.get_by_role("button", name="fit all approaches").click()
    page.get_by_text("Approaches side by side").wait_for(timeout=60_000)
    page.wait_for_load_state("load", timeout=60_000)
    assert page.evaluate("[...document.images].map(i => i.naturalWidth > 0)") == [True] * 4
    page.get_by_label("Budget").fill("3e13FLOP")
    page.get_by_role("button", name="recommend").click()
    page.get_by_role("button", name="seal the forecast and launch").click(timeout=60_000)
    page.get_by_role("heading", name="Forecast against outcome").wait_for()


def test_values_are_read_off_interactive_plots(page, url, answered):
    page.goto(f"{url}/fits/{answered.fit_id}")
    page.locator(".chart .main-svg").nth(2).wait_for(timeout=60_000)
    assert page.locator(".chart .legendtext").filter(has_text="FLOP").count() == 4


def test_nothing_is_wider_than_a_telephone(page, url, client, answered):
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/", "/sweeps/1", "/runs/1"):
        page.goto(url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_everything_works_without_scripts(chromium, url, client, spec):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    client.post("/v1/sweeps", json=spec)
    page.goto(f"{url}/sweeps/1")
    page.get_by_role("button", name="pause").click()
    page.get_by_role("button", name="resume").wait_for()
    assert client.get("/v1/sweeps/1").json()["state"] == "paused"
    context.close()


def test_the_report_opens_from_a_file(page, client, answered, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(client.get(f"/v1/sweeps/{answered.sweep_id}/report").text)
    page.goto(file.as_uri())
    assert page.locator("figure > svg").count() == 4
    assert page.get_by_role("heading", name="Approaches side by side").is_visible()
