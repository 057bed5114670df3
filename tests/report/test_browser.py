"""The page in a browser, at a desk and on a phone: a silent console, nothing too wide, no text on text."""

from __future__ import annotations

import html
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hwsim.report import Comparison, render_html
from tests.oracles import need_tool
from tests.report.sample import realistic, synthetic

CROWD = synthetic(8, 60, long_names=True)
FRAMES: dict[str, tuple[Comparison, int, bool]] = {
    "desk": (realistic(), 1280, False),
    "phone": (realistic(), 390, False),
    "dark phone": (realistic(), 390, True),
    "crowded desk": (CROWD, 1280, False),
    "crowded phone": (CROWD, 390, False),
    "one layer": (synthetic(1, 1), 360, False),
}
"""What to show: a comparison, a width in pixels, dark or light."""

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
  document.querySelectorAll("#layer-table thead button")[5].click();
  out.sorted = layers().map(function (row) { return +row.cells[5].dataset.v; });
  document.querySelectorAll(".filter button")[1].click();
  out.shown = layers().filter(function (row) { return !row.hidden; }).length;
  out.paper = getComputedStyle(document.body).backgroundColor;
  var pre = parent.document.createElement("pre");
  pre.className = "probe"; pre.title = frameElement.name; pre.textContent = JSON.stringify(out);
  parent.document.body.appendChild(pre);
})();
</script></body>"""


def browse(page: str, folder: Path, *, dark: bool = False) -> tuple[str, str]:
    """The document after scripts ran, and what the browser's console said."""
    chromium = need_tool("chromium", "apt-get install chromium")
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    quiet = "disable-gpu disable-quic no-first-run disable-background-networking disable-component-update disable-sync"
    flags = [f"--{flag}" for flag in ("headless", "no-sandbox", *quiet.split(), "enable-logging=stderr", "v=0")]
    flags += [f"--user-data-dir={folder / 'profile'}", "--window-size=1400,900"]
    flags += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--dump-dom", path.as_uri()]
    done = subprocess.run([chromium, *flags], capture_output=True, text=True, timeout=120, check=False)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def frame(name: str, comparison: Comparison, width: int) -> str:
    """The page with a probe, in a frame of its own: a browser's window is never narrower than 500 pixels.

    The page's policy would rightly refuse the probe, so it is taken out first.
    """
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", render_html(comparison))
    inside = html.escape(page.replace("</body>", PROBE))
    return f'<iframe name="{name}" srcdoc="{inside}" style="width:{width}px;height:900px;border:0"></iframe>'


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, dict[str, Any]]:
    """What each frame measured of itself; all light ones in one browser, all dark ones in another."""
    found: dict[str, dict[str, Any]] = {}
    for dark in (False, True):
        frames = [
            frame(name, comparison, width) for name, (comparison, width, night) in FRAMES.items() if night == dark
        ]
        dom, log = browse(f"<!DOCTYPE html><body>{''.join(frames)}</body>", tmp_path_factory.mktemp("page"), dark=dark)
        assert log == ""
        for name, text in re.findall(r'<pre class="probe" title="([^"]*)">(.*?)</pre>', dom, re.DOTALL):
            found[name] = json.loads(html.unescape(text))
    return found


@pytest.mark.parametrize("name", FRAMES)
def test_layout(probes: Mapping[str, dict[str, Any]], name: str) -> None:
    comparison, width, dark = FRAMES[name]
    found = probes[name]
    assert found["width"] == width
    assert found["wide"] <= width
    assert found["meets"] == []
    assert found["outside"] == []
    assert found["empty"] == []
    assert found["pictures"] == 7 + 4 * len(comparison.results)
    assert found["sorted"] == sorted(found["sorted"], reverse=True)
    assert found["shown"] == len(comparison.results[0].estimate.rows)
    assert found["paper"] == ("rgb(20, 22, 26)" if dark else "rgb(252, 251, 248)")


def test_the_page_as_written_runs_its_script_in_silence(tmp_path: Path) -> None:
    dom, log = browse(render_html(realistic()), tmp_path)
    assert log == ""
    assert '<button type="button">energy</button>' in dom


def test_a_foreign_script_is_refused_and_heard(tmp_path: Path) -> None:
    page = render_html(realistic()).replace("</body>", "<script>document.title = 'owned'</script></body>")
    dom, log = browse(page, tmp_path)
    assert "<title>owned" not in dom
    assert "Content Security Policy" in log
