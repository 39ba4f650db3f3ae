// Return each kind of text of a page whose contrast is below that of WCAG 2 AA: what it is, the ratio, and some of it.
(() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  const rgba = (css) => {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = css;
    brush.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = brush.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const luminance = (color) => {
    const [red, green, blue] = color.map((part) => linear(part / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const found = {};
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim();
    const element = texts.currentNode.parentElement;
    const box = element.getBoundingClientRect();
    const isShown = element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
    if (!text || !isShown || !box.width || !box.height) continue;
    const layers = [];
    let opacity = 1;
    for (let part = element; part; part = part.parentElement) {
      layers.unshift(rgba(getComputedStyle(part).backgroundColor));
      opacity *= getComputedStyle(part).opacity;
    }
    const below = layers.reduce((under, layer) => over(layer, under), [255, 255, 255]);
    const style = getComputedStyle(element);
    const color = rgba(style.color);
    color[3] *= opacity;
    const [dark, light] = [luminance(over(color, below)), luminance(below)].sort((a, b) => a - b);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const kind = `${element.tagName.toLowerCase()}.${element.className}`;
    if (ratio < (isLarge ? 3 : 4.5)) found[kind] = `${kind} has ${ratio.toFixed(2)}: ${text.slice(0, 40)}`;
  }
  return Object.values(found);
})();
