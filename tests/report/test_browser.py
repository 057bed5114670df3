"""The page in a browser, at a desk and on a phone: a silent console, nothing too wide, no text on text."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hwsim.report import Comparison, compare_runs, render_change, render_html, render_robustness, render_why
from hwsim.report.learning import render_learning
from hwsim.report.points import render_points
from tests.oracles import need_tool
from tests.report.sample import attribution, realistic, slower, synthetic
from tests.report.sample_learning import learned
from tests.report.sample_points import space
from tests.report.sample_stress import stressed

CROWD = synthetic(8, 60, long_names=True)
REPORTS: dict[str, tuple[Comparison, int, bool]] = {
    "desk": (realistic(), 1280, False),
    "phone": (realistic(), 390, False),
    "dark phone": (realistic(), 390, True),
    "crowded desk": (CROWD, 1280, False),
    "crowded phone": (CROWD, 390, False),
    "one layer": (synthetic(1, 1), 360, False),
}
"""What to show: a comparison, a width in pixels, dark or light."""

WHY, WHY_CROWD = attribution(), attribution(40, long_names=True)
CHANGE = compare_runs(realistic(), slower())
SPACE, SPACE_CROWD = space(), space(300, tasks=3, long_names=True)
OTHERS: dict[str, tuple[Callable[[], str], int]] = {
    "why": (lambda: render_why(WHY), 5),
    "crowded why": (lambda: render_why(WHY_CROWD), 5),
    "change": (lambda: render_change(CHANGE), 6),
    "crowded change": (lambda: render_change(compare_runs(CROWD, synthetic(8, 50, long_names=True))), 16),
    "sweep": (lambda: render_points(SPACE), 3),
    "crowded sweep": (lambda: render_points(SPACE_CROWD), 3),
    "training": (lambda: render_learning(learned(), "{}"), 2),
    "crowded training": (lambda: render_learning(learned(200, long_names=True), "{}"), 2),
    "robustness": (lambda: render_robustness(stressed()), 11),
    "crowded robustness": (lambda: render_robustness(stressed(8, long_names=True)), 11),
}
"""Pages of the other kinds, and how many figures they have."""

FRAMES: dict[str, tuple[Callable[[], str], int, bool]] = {
    **{name: (partial(render_html, run), width, dark) for name, (run, width, dark) in REPORTS.items()},
    **{
        f"{name}, {width}{', dark' if dark else ''}": (page, width, dark)
        for name, (page, _) in OTHERS.items()
        for width, dark in ((1280, False), (390, "crowded" not in name))
    },
}
"""Name -> how to make the page, width, dark or light."""

PROBE = """
<script>
(function () {
  var list = Array.prototype.slice;
  var out = { width: innerWidth, wide: document.documentElement.scrollWidth, pictures: 0 };
  out.meets = []; out.outside = []; out.empty = [];
  document.querySelectorAll("svg[role=img]").forEach(function (svg) {
    out.pictures += 1;
    var r = svg.getBoundingClientRect();
    if (r.width < 20 || r.height < 10) out.empty.push(svg.getAttribute("aria-labelledby"));
    var texts = list.call(svg.querySelectorAll("text"));
    texts.forEach(function (a, i) {
      var x = a.getBoundingClientRect();
      if (x.left < 0 || x.right > innerWidth) out.outside.push(a.textContent);
      texts.slice(i + 1).forEach(function (b) {
        var y = b.getBoundingClientRect();
        var level = x.left < y.right - 1 && y.left < x.right - 1;
        if (level && x.top < y.bottom - 3 && y.top < x.bottom - 3) out.meets.push([a.textContent, b.textContent]);
      });
    });
  });
  function layers() { return list.call(document.querySelectorAll("#layer-table tbody tr")); }
  if (document.querySelector(".filter button")) {
    document.querySelectorAll("#layer-table thead button")[5].click();
    out.sorted = layers().map(function (row) { return +row.cells[5].dataset.v; });
    document.querySelectorAll(".filter button")[1].click();
    out.shown = layers().filter(function (row) { return !row.hidden; }).length;
  }
  var line = document.querySelector(".timeline");
  if (line) {
    var svg = line.querySelector(".window svg");
    line.querySelector("[data-zoom=in]").click();
    out.zoomed = svg.getAttribute("viewBox");
    svg.querySelector("rect.bar").dispatchEvent(new MouseEvent("click", { bubbles: true }));
    out.picked = svg.getAttribute("viewBox");
    line.querySelector("[data-zoom=all]").click();
    out.whole = svg.getAttribute("viewBox");
  }
  var search = document.querySelector(".filter input");
  if (search) {
    search.value = "no such name anywhere";
    search.dispatchEvent(new Event("input"));
    var below = search.closest(".filter").nextElementSibling.querySelectorAll("tbody tr");
    out.left = list.call(below).filter(function (row) { return !row.hidden; }).length;
  }
  var texts = document.querySelectorAll("h1, h2, h3, .verdict, .facts dd, .values li");
  out.clipped = list.call(texts).filter(function (e) {
    return e.scrollWidth > e.clientWidth + 1;
  }).map(function (e) { return e.textContent; });
  out.paper = getComputedStyle(document.body).backgroundColor;
  var pre = parent.document.createElement("pre");
  pre.className = "probe"; pre.title = frameElement.name; pre.textContent = JSON.stringify(out);
  parent.document.body.appendChild(pre);
})();
</script></body>"""


def browse(
    page: str,
    folder: Path,
    *,
    dark: bool = False,
    shot: Path | None = None,
    size: tuple[int, int] = (1400, 900),
    paper: Path | None = None,
) -> tuple[str, str]:
    """The document after scripts ran, and what the browser's console said; a picture or a PDF instead where asked."""
    chromium = need_tool("chromium", "apt-get install chromium")
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    quiet = "disable-gpu disable-quic no-first-run disable-background-networking disable-component-update disable-sync"
    flags = [f"--{flag}" for flag in ("headless", "no-sandbox", *quiet.split(), "enable-logging=stderr", "v=0")]
    flags += [f"--user-data-dir={folder / 'profile'}", f"--window-size={size[0]},{size[1]}"]
    flags += [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    what = f"--screenshot={shot}" if shot else f"--print-to-pdf={paper}" if paper else "--dump-dom"
    flags += [what, "--hide-scrollbars", "--no-pdf-header-footer", path.as_uri()]
    done = subprocess.run([chromium, *flags], capture_output=True, text=True, timeout=120, check=False)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def frame(name: str, page: str, width: int) -> str:
    """The page with a probe, in a frame of its own: a browser's window is never narrower than 500 pixels.

    The page's policy would rightly refuse the probe, so it is taken out first.
    """
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    inside = html.escape(page.replace("</body>", PROBE))
    return f'<iframe name="{name}" srcdoc="{inside}" style="width:{width}px;height:900px;border:0"></iframe>'


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, dict[str, Any]]:
    """What each frame measured of itself; all light ones in one browser, all dark ones in another."""
    found: dict[str, dict[str, Any]] = {}
    for dark in (False, True):
        frames = [frame(name, make(), width) for name, (make, width, night) in FRAMES.items() if night == dark]
        dom, log = browse(f"<!DOCTYPE html><body>{''.join(frames)}</body>", tmp_path_factory.mktemp("page"), dark=dark)
        assert log == ""
        for name, text in re.findall(r'<pre class="probe" title="([^"]*)">(.*?)</pre>', dom, re.DOTALL):
            found[name] = json.loads(html.unescape(text))
    return found


@pytest.mark.parametrize("name", FRAMES)
def test_layout(probes: Mapping[str, dict[str, Any]], name: str) -> None:
    _, width, dark = FRAMES[name]
    found = probes[name]
    assert found["width"] == width
    assert found["wide"] <= width
    assert found["meets"] == []
    assert found["outside"] == []
    assert found["empty"] == []
    assert found["clipped"] == []
    assert found.get("left", 0) == 0
    assert found["paper"] == ("rgb(20, 22, 26)" if dark else "rgb(252, 251, 248)")


@pytest.mark.parametrize("name", REPORTS)
def test_tables_and_timelines_of_reports_answer(probes: Mapping[str, dict[str, Any]], name: str) -> None:
    comparison, found = REPORTS[name][0], probes[name]
    assert found["pictures"] == 7 + 5 * len(comparison.results)
    assert found["sorted"] == sorted(found["sorted"], reverse=True)
    assert found["shown"] == len(comparison.results[0].estimate.rows)
    assert found["zoomed"] == "250 0 500 88"
    assert float(found["picked"].split()[2]) < 1000 or len(comparison.results[0].estimate.rows) == 1
    assert found["whole"] == "0 0 1000 88"


@pytest.mark.parametrize("name", [name for name in FRAMES if name not in REPORTS])
def test_figures_of_the_other_pages_are_all_there(probes: Mapping[str, dict[str, Any]], name: str) -> None:
    assert probes[name]["pictures"] == OTHERS[name.partition(",")[0]][1]


@pytest.mark.parametrize("name", ["report", *(name for name in OTHERS if "crowded" not in name)])
def test_the_page_as_written_is_silent_and_photographed(name: str, tmp_path: Path) -> None:
    """Light at a desk, dark on a phone, and on paper; kept in the folder HWSIM_SCREENSHOTS where that is set."""
    page = render_html(realistic()) if name == "report" else OTHERS[name][0]()
    kept = Path(os.environ.get("HWSIM_SCREENSHOTS") or tmp_path)
    kept.mkdir(parents=True, exist_ok=True)
    for width, dark in ((1280, False), (390, True)):
        shot = kept / f"{name}-{width}.png"
        if width < 500:  # no window is so narrow
            inside = html.escape(page)
            shown = f'<body style="margin:0"><iframe srcdoc="{inside}" style="width:{width}px;height:2400px;border:0">'
            _, log = browse(f"<!DOCTYPE html>{shown}</iframe>", tmp_path, dark=dark, shot=shot, size=(500, 2400))
        else:
            _, log = browse(page, tmp_path, dark=dark, shot=shot, size=(width, 2400))
        assert log == ""
        assert shot.stat().st_size > 20_000
    paper = kept / f"{name}.pdf"
    browse(page, tmp_path, paper=paper)
    assert paper.read_bytes()[:5] == b"%PDF-"
    assert paper.stat().st_size > 20_000


def test_the_page_as_written_runs_its_script_in_silence(tmp_path: Path) -> None:
    dom, log = browse(render_html(realistic()), tmp_path)
    assert log == ""
    assert '<button type="button">energy</button>' in dom


def test_a_foreign_script_is_refused_and_heard(tmp_path: Path) -> None:
    page = render_html(realistic()).replace("</body>", "<script>document.title = 'owned'</script></body>")
    dom, log = browse(page, tmp_path)
    assert "<title>owned" not in dom
    assert "Content Security Policy" in log
