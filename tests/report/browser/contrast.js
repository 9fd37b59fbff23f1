// The contrast of every text that is seen with what it stands on (WCAG 2.2: relative luminance, contrast ratio), and the
// ratio that it needs (1.4.3, AA).
() => {
  const channels = (text) => { const n = text.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3]));
  const back = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) layers.push(channels(getComputedStyle(one).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  while (walk.nextNode()) {
    const node = walk.currentNode, element = node.parentElement;
    if (!node.data.trim() || ["SCRIPT", "STYLE", "TITLE", "title", "NOSCRIPT"].includes(element.tagName) || !element.checkVisibility()) continue;
    if (element.closest("button:disabled")) continue;  // 1.4.3 leaves out what is inactive
    const style = getComputedStyle(element), ground = back(element);
    const ink = channels(element instanceof SVGElement ? style.fill : style.color), shown = over(ink, ground);
    const [a, b] = [light(shown), light(ground)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    found.push([ratio, large ? 3 : 4.5, node.data.trim().slice(0, 40), element.outerHTML.slice(0, 80)]);
  }
  return found;
}
