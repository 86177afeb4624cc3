// Measures a page as it would lie on paper and writes what it finds where a test reads it.
(() => {
  const found = { problems: [], charts: [], glyphs: 0 };
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth + 1) {
    found.problems.push(`the page is ${page.scrollWidth} wide on ${page.clientWidth}`);
  }
  for (const node of document.body.querySelectorAll("*")) {
    const box = node.getBoundingClientRect();
    if (box.width > 0 && box.right > page.clientWidth + 1) {
      found.problems.push(`${node.tagName} ends at ${box.right}: ${node.textContent.slice(0, 60)}`);
    }
  }
  // A word or a number that is broken in two cannot be read.
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    if (texts.currentNode.parentElement.closest("script, svg")) continue;
    for (const word of texts.currentNode.data.matchAll(/[\p{Script=Latin}\d:.]{2,20}/gu)) {
      const range = document.createRange();
      range.setStart(texts.currentNode, word.index);
      range.setEnd(texts.currentNode, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
      if (lines.size > 1) found.problems.push(`broken: ${word[0]}`);
    }
  }
  for (const node of document.querySelectorAll("h1, h2, th, dt, .key")) {
    if (!node.textContent.trim()) found.problems.push(`an empty ${node.tagName}`);
  }
  for (const chart of document.querySelectorAll("svg")) {
    const box = chart.getBoundingClientRect();
    const label = chart.getAttribute("aria-label") || "";
    if (!label.trim()) found.problems.push("a chart without a label");
    const drawn = [...chart.querySelectorAll("rect")].filter((r) => r.getBBox().height > 0).length;
    found.charts.push({ kind: chart.getAttribute("class"), width: box.width, height: box.height, drawn });
  }
  // A letter that no font has is drawn as the same box as a codepoint that no font can have.
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 32;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const draw = (letter) => {
    pen.clearRect(0, 0, 32, 32);
    pen.font = `24px ${getComputedStyle(document.body).fontFamily}`;
    pen.fillText(letter, 2, 26);
    return pen.getImageData(0, 0, 32, 32).data.join(",");
  };
  const missing = [draw("\u{10FFFD}"), draw("\u{E0FF}")];
  const blank = draw(" ");
  for (const letter of new Set(document.body.innerText.replace(/\s/g, ""))) {
    const seen = draw(letter);
    found.glyphs += 1;
    if (missing.includes(seen) || seen === blank) found.problems.push(`no font has ${letter}`);
  }
  document.documentElement.setAttribute("data-found", JSON.stringify(found));
})();
