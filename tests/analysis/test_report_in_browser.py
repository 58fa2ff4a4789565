"""The report in a real browser: Chromium without a window, driven over WebDriver. Skipped where it is not installed."""

import json
import shutil
import threading
from contextlib import contextmanager

import made_up_shares
import pytest
from made_up import write_step1

from scaling_search.analysis import findings_of, load_run
from scaling_search.analysis.report.html import report_page
from scaling_search.rule import Grid

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install -e '.[dev]'")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

PROGRAMS = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        None in PROGRAMS.values(), reason="no chromium with its chromedriver: apt-get install chromium chromium-driver"
    ),
]

DESK, PHONE = (1280, 900), (360, 740)


@pytest.fixture(scope="module")
def browser():
    """Chromium with a log of what pages complain of."""
    options = webdriver.ChromeOptions()
    options.binary_location = PROGRAMS["chromium"]
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(PROGRAMS["chromedriver"]))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def file(findings, tmp_path_factory):
    """The report of a finished run."""
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_bytes(report_page(findings, "scaling-search run"))
    return file


@pytest.fixture
def page(browser, file):
    """The report, newly opened on a desk in daylight."""
    return opened(browser, file)


def opened(browser, file, size=DESK, **features):
    """The file as a reader with this screen and these preferences has it, without a network."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    wishes = {"prefers-color-scheme": "light"} | {name.replace("_", "-"): value for name, value in features.items()}
    features = [{"name": name, "value": value} for name, value in wishes.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(file.as_uri())
    return browser


def one(page, selector):
    return page.find_element(By.CSS_SELECTOR, selector)


def every(page, selector):
    return page.find_elements(By.CSS_SELECTOR, selector)


def press(page, *keys):
    for key in keys:
        page.switch_to.active_element.send_keys(key)


def orders(page, table, column):
    script = "return [...arguments[0].rows].map(row => row.cells[arguments[1]].dataset.order)"
    found = page.execute_script(script, one(page, f"#{table} tbody"), column)
    return [None if order is None else float(order) for order in found]


def test_nothing_is_complained_of(page):
    assert page.get_log("browser") == []
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_a_click_on_a_heading_sorts_and_says_so(page):
    headings = every(page, "#step2 thead th")
    column = next(index for index, heading in enumerate(headings) if "phi" in heading.text)
    button = headings[column].find_element(By.TAG_NAME, "button")
    for direction in ("ascending", "descending"):
        button.click()
        assert headings[column].get_attribute("aria-sort") == direction
        values = orders(page, "step2", column)
        known = [value for value in values if value is not None]
        assert known == sorted(known, reverse=direction == "descending") == values[: len(known)]
        assert len(known) == 8 and values[8:] == [None] * 8
    assert len(every(page, "[aria-sort]")) == 1


def test_headings_are_sorted_by_from_the_keyboard_too(page):
    button = one(page, "#frontier thead th:nth-child(4) button")
    page.execute_script("arguments[0].focus()", button)
    press(page, Keys.ENTER, Keys.SPACE)
    values = orders(page, "frontier", 3)
    assert values == sorted(values, reverse=True)


def test_a_filter_leaves_the_rows_that_have_its_words(page):
    one(page, '[data-filters="step1"]').send_keys("LEADS")
    shown = [row for row in every(page, "#step1 tbody tr") if row.is_displayed()]
    assert len(shown) == 1 and "leads" in shown[0].text
    assert one(page, '[data-counts="step1"]').text == "1 of 39 rows"


def test_each_plot_is_one_stop_of_the_tab_key_and_arrows_walk_its_points(page):
    page.execute_script("document.getElementById('highlight').focus()")
    press(page, Keys.TAB)
    first = page.switch_to.active_element
    assert first.get_attribute("class").startswith("point")
    assert len(every(page, '#accuracy .point[tabindex="0"]')) == 1
    press(page, Keys.ARROW_RIGHT)
    second = page.switch_to.active_element
    assert second != first and second.rect["x"] >= first.rect["x"]
    press(page, Keys.ARROW_LEFT)
    assert page.switch_to.active_element == first
    seen = {kind_of(page, page.switch_to.active_element)}
    for _ in range(8):
        press(page, Keys.ARROW_UP)
        seen.add(kind_of(page, page.switch_to.active_element))
    drawn = page.execute_script(
        "return [...document.querySelectorAll('#accuracy .series')].filter(s => s.querySelector('.point'))"
        ".map(s => s.dataset.kind)"
    )
    assert seen == set(drawn)
    press(page, Keys.TAB)
    assert page.switch_to.active_element.get_attribute("type") == "checkbox"


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_the_triangle_is_equilateral_and_walked_by_keys(browser, new_run, tmp_path, size):
    file = tmp_path / "triangle.html"
    file.write_bytes(
        report_page(findings_of(made_up_shares.write(new_run, made_up_shares.document())), "scaling-search run")
    )
    page = opened(browser, file, size)
    page.execute_script("document.querySelector('#triangle .winner .point').focus()")
    assert "shares of growth 33/33/33" in one(page, "#triangle .tip").text
    press(page, Keys.ARROW_UP)
    assert kind_of(page, page.switch_to.active_element) == "measured"
    box = page.execute_script(
        "const b = document.querySelector('#triangle .map-line').getBBox(); return [b.width, b.height]"
    )
    area = one(page, "#triangle .area").rect
    assert box[1] * area["height"] / (box[0] * area["width"]) == pytest.approx(3**0.5 / 2, rel=0.02)
    assert page.execute_script("return document.documentElement.scrollWidth") <= size[0]


def test_a_series_goes_with_its_shade_and_its_names(page):
    for kind in ("found", "found-extrapolated"):
        assert len([each for each in every(page, f"#accuracy .{kind} .name") if each.is_displayed()]) > 0
        page.execute_script("arguments[0].click()", one(page, f'#accuracy input[data-kind="{kind}"]'))
        parts = every(page, f"#accuracy .series.{kind} :is(.name, .band, .line, .marker)")
        assert parts and not any(part.is_displayed() for part in parts)


def test_no_column_is_cut_off_on_paper(browser, file):
    page = opened(browser, file, (700, 900))
    try:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert page.execute_script("return document.documentElement.scrollWidth") <= 700
        assert not one(page, "#step1 thead button").value_of_css_property("content").startswith('"')
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def kind_of(page, point):
    return page.execute_script("return arguments[0].closest('.series').dataset.kind", point)


def test_focus_and_hover_show_the_same_details_and_escape_hides_them(page):
    point = one(page, "#accuracy .winner .point")
    tip = one(page, "#accuracy .tip")
    page.execute_script("arguments[0].focus()", point)
    details = tip.text
    assert details.splitlines() == point.get_attribute("aria-label").splitlines() and "winner of STEP 1" in details
    press(page, Keys.ESCAPE)
    assert not tip.is_displayed()
    page.execute_script("arguments[0].blur(); arguments[0].scrollIntoView({block: 'center'})", point)
    webdriver.ActionChains(page).move_to_element(one(page, "#accuracy .winner .marker")).perform()
    assert tip.is_displayed() and tip.text == details
    webdriver.ActionChains(page).move_to_element(one(page, "h2")).perform()
    assert not tip.is_displayed()


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_details_never_leave_the_screen(browser, file, size):
    page = opened(browser, file, size)
    for end in (Keys.HOME, Keys.END):
        page.execute_script("document.querySelector('#accuracy .found .point').focus()")
        press(page, end)
        box = one(page, "#accuracy .tip").rect
        assert box["x"] >= 0 and box["x"] + box["width"] <= size[0]


def test_what_is_not_shown_is_not_walked_through(page):
    box = one(page, '#accuracy input[data-kind="grid"]')
    page.execute_script("arguments[0].click()", box)
    assert not one(page, "#accuracy .series.grid .marker").is_displayed()
    assert kind_of(page, one(page, '#accuracy .point[tabindex="0"]')) != "grid"


def test_a_highlighted_network_is_marked_in_plots_and_tables(page, judgement):
    winner = judgement.winner.fingerprint
    one(page, f'#highlight option[value="{winner}"]').click()
    marked = every(page, ".marked")
    assert {element.get_attribute("data-network") for element in marked} == {winner}
    places = {page.execute_script("return arguments[0].closest('figure, table').id", element) for element in marked}
    assert places == {"accuracy", "step1-plot", "curves-train-loss", "step1", "step2", "frontier"}


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_the_page_is_as_wide_as_the_screen_and_no_letter_is_cut_off(browser, file, width):
    page = opened(browser, file, (width, 740))
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    texts = page.execute_script(
        "return [...document.querySelectorAll('svg text')].filter(t => t.checkVisibility()).map(t => {"
        "const b = t.getBoundingClientRect(); return [t.textContent, b.left, b.right, b.height]})"
    )
    assert len(texts) > 30
    assert [text for text in texts if text[1] < 0 or text[2] > width or text[3] < 10] == []


def luminance(colour):
    def linear(value):
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """Contrast ratio by WCAG 2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_stand_out_by_day_and_by_night(browser, file, scheme):
    page = opened(browser, file, prefers_color_scheme=scheme)
    names = ("page", "panel", "ink", "soft", "grid", "tied", "found", "published", "third", "marked", "edge", "focus")
    script = "return getComputedStyle(document.documentElement).getPropertyValue('--' + arguments[0]).trim()"
    colours = {name: page.execute_script(script, name) for name in names}
    assert (luminance(colours["page"]) < 0.1) == (scheme == "dark")
    for paper in ("page", "panel"):
        assert contrast(colours["ink"], colours[paper]) >= 7
        assert contrast(colours["soft"], colours[paper]) >= 4.5
    for name in names[4:]:
        assert contrast(colours[name], colours["page"]) >= 3, name
    body = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert body == f"rgb({', '.join(str(int(colours['page'][i : i + 2], 16)) for i in (1, 3, 5))})"


def test_nothing_moves_for_those_who_want_none_of_it(browser, file):
    page = opened(browser, file, prefers_reduced_motion="reduce")
    page.execute_script("document.querySelector('#accuracy .winner .point').focus()")
    assert page.execute_script("return document.getAnimations().length") == 0


def test_without_scripts_plots_and_tables_are_there(browser, file):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page = opened(browser, file)
        assert every(page, "#step1 button") == [] and len(every(page, "#step1 tbody tr")) == 39
        assert one(page, "#accuracy .winner .marker").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


HOSTILE = "<script>window.hacked = 1</script></script><img src=x onerror='window.hacked = 2'>\"'`"


def test_a_hostile_name_is_text(browser, new_run, tmp_path):
    run = write_step1(new_run, grid=Grid("coefficients", step=0.1))
    for document in [*run.path.glob("*.json"), *run.path.glob("trials/*.json")]:
        text = document.read_text().replace('"6x64@16"', json.dumps(HOSTILE)).replace('"digits"', json.dumps(HOSTILE))
        # Whoever writes such a record gives it no checksum, as earlier versions did.
        document.write_text(json.dumps({name: part for name, part in json.loads(text).items() if name != "checksum"}))
    (tmp_path / "hostile.html").write_bytes(report_page(findings_of(load_run(run.path)), HOSTILE))
    page = opened(browser, tmp_path / "hostile.html")
    assert HOSTILE in one(page, "h1").text and one(page, "pre").text == HOSTILE
    page.execute_script(
        "const s = document.getElementById('highlight'); s.value = arguments[0];s.dispatchEvent(new Event('change'))",
        HOSTILE,
    )
    assert len(every(page, "tr.marked")) > 0
    page.execute_script("document.querySelector('#accuracy .baseline .point').focus()")
    assert one(page, "#accuracy .tip").is_displayed()
    assert page.execute_script("return window.hacked") is None and page.get_log("browser") == []


@contextmanager
def served(directory):
    from scaling_search.cli.server import ReportServer

    with ReportServer(directory, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def test_a_watched_page_follows_the_run_and_keeps_what_the_reader_has_set(browser, step1_run):
    removed = sorted((step1_run.path / "trials").glob("*.json"))[::3]
    kept = {file: file.read_bytes() for file in removed}
    for file in removed:
        file.unlink()
    with served(step1_run.directory) as address:
        browser.get(address)
        before = one(browser, ".status").text
        one(browser, '[data-filters="step1"]').send_keys("tie")
        one(browser, "#step1 thead th:nth-child(7) button").click()
        page = browser
        page.execute_script("document.querySelector('#accuracy .baseline .point').focus()")
        for file, content in kept.items():
            file.write_bytes(content)
        WebDriverWait(page, 60).until(lambda _: one(page, ".status").text != before)
        total = len(step1_run.networks) * 3
        WebDriverWait(page, 60).until(lambda _: one(page, ".status").text.startswith(f"{total} of {total} planned"))
        assert one(page, '[data-filters="step1"]').get_attribute("value") == "tie"
        assert "of" in one(page, '[data-counts="step1"]').text
        assert one(page, "#step1 thead th:nth-child(7)").get_attribute("aria-sort") == "ascending"
        focused = page.switch_to.active_element
        assert focused.get_attribute("class").startswith("point") and kind_of(page, focused) == "baseline"
        assert one(page, "#live").text == "This page follows the run."
    WebDriverWait(page, 60).until(lambda _: "The server has ended" in one(page, "#live").text)
    assert one(page, ".status").is_displayed()
