/* Displayed formulas that are wider than the page: shrunk a little, or else scrolled in a box of their own.
   custom.css draws the fading edge by the classes more-left and more-right. */

(() => {
  const SMALLEST = 0.8; // a formula is never set smaller than this share of its size

  /* Which side has more to show. */
  const mark = (box) => {
    const left = box.scrollLeft;
    const rest = box.scrollWidth - box.clientWidth - left;
    box.classList.toggle("more-left", left > 1);
    box.classList.toggle("more-right", rest > 1);
  };

  /* A box that scrolls can be reached by the keyboard and says what it is. */
  const announce = (box, scrolls) => {
    if (!scrolls) {
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
      return;
    }
    const number = box.parentElement.querySelector(".eqno")?.firstChild?.textContent;
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", `${number ? `Equation ${number}` : "Formula"}, scrolls sideways`);
  };

  const fit = (box) => {
    box.style.fontSize = "";
    let share = box.clientWidth / box.scrollWidth;
    for (; share < 1 && share >= SMALLEST; share -= 0.005) { // text within a formula does not shrink quite evenly
      box.style.fontSize = `${100 * share}%`;
      if (box.scrollWidth <= box.clientWidth) break;
    }
    if (share < SMALLEST) box.style.fontSize = "";
    announce(box, box.scrollWidth > box.clientWidth + 1);
    mark(box);
  };

  const watch = () => {
    const widths = new WeakMap();
    const observer = new ResizeObserver((entries) =>
      requestAnimationFrame(() => {
        for (const { target } of entries) {
          const box = target.querySelector(":scope > mjx-container");
          if (!box || widths.get(box) === box.clientWidth) continue; // only the width matters
          widths.set(box, box.clientWidth);
          fit(box);
        }
      })
    );
    for (const formula of document.querySelectorAll("div.math")) {
      const box = formula.querySelector(":scope > mjx-container");
      if (!box) continue;
      box.addEventListener("scroll", () => mark(box), { passive: true });
      fit(box);
      widths.set(box, box.clientWidth);
      observer.observe(formula);
    }
  };

  window.addEventListener("load", () => window.MathJax?.startup?.promise?.then(watch));
})();
