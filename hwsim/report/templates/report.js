"use strict";
(function () {
  function key(row, column) {
    var cell = row.cells[column];
    var raw = cell.dataset.v !== undefined ? cell.dataset.v : cell.textContent.trim();
    if (raw === "inf" || raw === "-inf") return raw === "inf" ? Infinity : -Infinity;
    return raw !== "" && !isNaN(raw) ? Number(raw) : raw;
  }
  function compare(a, b) {
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  }
  document.querySelectorAll("table.sortable").forEach(function (table) {
    var body = table.tBodies[0];
    var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
    heads.forEach(function (head, column) {
      if (!head.textContent.trim()) return;
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.textContent = "";
      head.appendChild(button);
      button.addEventListener("click", function () {
        var was = head.getAttribute("aria-sort");
        var down = was ? was === "ascending" : head.classList.contains("n");
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        Array.prototype.slice.call(body.rows)
          .map(function (row, order) { return { row: row, order: order, key: key(row, column) }; })
          .sort(function (a, b) { return (down ? compare(b.key, a.key) : compare(a.key, b.key)) || a.order - b.order; })
          .forEach(function (item) { body.appendChild(item.row); });
      });
    });
  });
  document.querySelectorAll(".filter").forEach(function (bar) {
    var rows = bar.nextElementSibling.querySelectorAll("tbody tr");
    var search = bar.querySelector("input");
    var shown = "";
    function apply() {
      var text = search.value.trim().toLowerCase();
      rows.forEach(function (row) {
        var words = row.dataset.words || row.querySelector("th").textContent;
        var wanted = (shown === "" || row.dataset.target === shown) && words.toLowerCase().indexOf(text) >= 0;
        row.hidden = !wanted;
      });
    }
    bar.hidden = false;
    bar.querySelectorAll("button").forEach(function (button) {
      button.addEventListener("click", function () {
        shown = button.dataset.show;
        bar.querySelectorAll("button").forEach(function (other) { other.setAttribute("aria-pressed", String(other === button)); });
        apply();
      });
    });
    search.addEventListener("input", apply);
  });
  var prefixes = [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"], [1e-12, "ps"]];
  function time(seconds) {
    if (!(seconds > 0)) return "0";
    var unit = prefixes.filter(function (each) { return seconds >= each[0]; })[0] || prefixes[4];
    return String(Number((seconds / unit[0]).toPrecision(4))) + "\u202f" + unit[1];
  }
  document.querySelectorAll(".timeline").forEach(function (line) {
    var svg = line.querySelector(".window svg");
    var height = svg.viewBox.baseVal.height;
    var ends = line.querySelectorAll(".ends > span");
    var whole = Number(line.dataset.seconds);
    var left = 0, width = 1000;
    function show(x, w) {
      width = Math.min(1000, Math.max(1, w));
      left = Math.min(1000 - width, Math.max(0, x));
      svg.setAttribute("viewBox", left + " 0 " + width + " " + height);
      ends[0].textContent = time(left / 1000 * whole);
      ends[2].textContent = time((left + width) / 1000 * whole);
    }
    ends[1].hidden = false;
    line.querySelectorAll("[data-zoom]").forEach(function (button) {
      button.addEventListener("click", function () {
        var how = button.dataset.zoom;
        if (how === "in") show(left + width / 4, width / 2);
        if (how === "out") show(left - width / 2, width * 2);
        if (how === "left") show(left - width / 2, width);
        if (how === "right") show(left + width / 2, width);
        if (how === "all") show(0, 1000);
      });
    });
    svg.addEventListener("click", function (event) {
      var bar = event.target.closest("rect.bar");
      if (!bar) return;
      var x = Number(bar.getAttribute("x")), w = Number(bar.getAttribute("width"));
      show(x - w * 0.1, w * 1.2);
    });
  });
})();
