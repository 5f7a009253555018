// Keeps an open page fresh: asks for its content again and again, unless it is held. All pages work without it.
(() => {
  "use strict";
  const content = document.getElementById("content");
  const hold = document.getElementById("hold");
  const refreshed = document.getElementById("refreshed");
  if (!content) return;

  // --- choose all jobs of a page
  function showPickAll() {
    const all = document.getElementById("pick-all");
    if (all) all.hidden = false;
  }
  content.addEventListener("change", (event) => {
    if (event.target.id !== "pick-all") return;
    content.querySelectorAll("input[name=job]").forEach((one) => { one.checked = event.target.checked; });
  });
  showPickAll();
  if (!hold) return;

  // --- look again and again
  const everyMs = Math.min(Math.max(Number(document.body.dataset.refresh) || 5, 2), 60) * 1000;
  let held = false, mark = "", busy = false;

  function touched() {
    // somebody chooses, types or reads: what is under their hands must not move
    const active = document.activeElement;
    const typing = active !== null && content.contains(active) && active.matches("input, select, textarea, button");
    return typing
      || content.querySelector("input:checked, details[open]") !== null
      || !document.getSelection().isCollapsed;
  }

  function put(html) {
    const focused = document.activeElement;
    const anchor = focused && content.contains(focused) ? focused.getAttribute("href") : null;
    const scrolled = [...content.querySelectorAll(".wide")].map((one) => one.scrollLeft);
    content.innerHTML = html;
    content.querySelectorAll(".wide").forEach((one, n) => { one.scrollLeft = scrolled[n] || 0; });
    if (anchor) {
      const same = [...content.querySelectorAll("a")].find((one) => one.getAttribute("href") === anchor);
      if (same) same.focus({ preventScroll: true });
    }
    showPickAll();
  }

  async function refresh() {
    if (busy || held || document.hidden || touched()) return;
    busy = true;
    try {
      const headers = { "X-Arq-Fragment": "1" };
      if (mark) headers["If-None-Match"] = mark;
      const answer = await fetch(location.href, { headers, cache: "no-store", credentials: "same-origin" });
      if (answer.status === 401) {
        location.reload();
        return;
      }
      if (answer.status === 200) {
        const html = await answer.text();
        if (!held && !touched()) {
          put(html);
          mark = answer.headers.get("ETag") || "";
        }
      }
      say(answer.ok || answer.status === 304 ? new Date().toLocaleTimeString() : "no answer: " + answer.status);
    } catch (error) {
      say("no connection");
    } finally {
      busy = false;
    }
  }

  function say(text) {
    refreshed.hidden = false;
    refreshed.textContent = text;
  }

  hold.hidden = false;
  hold.addEventListener("click", () => {
    held = !held;
    hold.setAttribute("aria-pressed", String(held));
    if (!held) refresh();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  setInterval(refresh, everyMs);
})();
