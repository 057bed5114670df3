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
})();
