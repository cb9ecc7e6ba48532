"use strict";
// Copying commands, showing the record under the pointer, filtering records. The page is complete without it.
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = button.parentElement.querySelector("pre");
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      getSelection().selectAllChildren(source);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

for (const exhibit of document.querySelectorAll(".exhibit")) {
  const box = exhibit.querySelector(".detail");
  if (!box) continue;
  const rows = new Map();
  for (const row of exhibit.querySelectorAll("tr[data-seq]")) rows.set(row.dataset.seq, row);
  let pinned = "";

  const describe = (element) => {
    const row = rows.get(element.dataset.seq);
    const title = element.querySelector("title");
    const record = row && [...row.cells].map((cell) => cell.textContent.trim()).filter(Boolean).join("  ");
    const isBar = element.classList.contains("bar");
    box.textContent = [isBar || !row ? title && title.textContent : "", record].filter(Boolean).join("\n");
    box.style.whiteSpace = "pre-wrap";
  };
  const pick = (seq, isFromTable) => {
    for (const old of exhibit.querySelectorAll(".picked")) old.classList.remove("picked");
    pinned = pinned === seq ? "" : seq;
    if (!pinned) return;
    for (const one of exhibit.querySelectorAll(`[data-seq="${Number(pinned)}"]`)) one.classList.add("picked");
    const row = rows.get(pinned);
    const place = exhibit.querySelector(`svg [data-seq="${Number(pinned)}"]`);
    if (isFromTable && place) place.scrollIntoView({ block: "nearest", inline: "center", behavior: "smooth" });
    if (!isFromTable && row) {
      const list = row.closest(".records");
      list.scrollTo({ top: row.offsetTop - list.clientHeight / 2, behavior: "smooth" });
    }
  };
  for (const element of exhibit.querySelectorAll("[data-seq]")) {
    const isFromTable = element.tagName === "TR";
    element.addEventListener("mouseenter", () => { if (!pinned) describe(element); });
    element.addEventListener("click", () => { pick(element.dataset.seq, isFromTable); describe(element); });
  }

  const search = exhibit.querySelector("input[type=search]");
  const isOnlyProof = exhibit.querySelector("input[type=checkbox]");
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows.values()) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word)) ||
        (isOnlyProof.checked && !row.classList.contains("finding"));
    }
    for (const gap of exhibit.querySelectorAll(".gaprow")) gap.hidden = words.length > 0 || isOnlyProof.checked;
  };
  search.addEventListener("input", filter);
  isOnlyProof.addEventListener("change", filter);
  exhibit.querySelector(".filter").hidden = false;
}

const open = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
};
addEventListener("hashchange", open);
open();
