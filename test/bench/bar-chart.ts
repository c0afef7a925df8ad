/** A bar of a chart: a figure as a part of its target. */
export interface Bar {
  readonly label: string;
  /** 1 is the target. */
  readonly part: number;
  /** What stands behind the bar: the figure and its target. */
  readonly note: string;
}

/** All in pixels. */
const row = 26;
const barHeight = 14;
const labelWidth = 190;
const plotWidth = 300;
const noteWidth = 210;
const top = 44;
/** The target stands here; longer bars are cut off at the end of the plot. */
const targetAt = plotWidth * (2 / 3);

/** Bars beside each other's target, as SVG that is the same for the same figures. Readable on light and on dark pages. */
export function barChart(title: string, bars: readonly Bar[]): string {
  const width = labelWidth + plotWidth + noteWidth;
  const height = top + bars.length * row + 10;
  const line = labelWidth + targetAt;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}">`,
    `<style>text{font:12px sans-serif;fill:#57606a}.title{font-weight:bold}.end{text-anchor:end}.middle{text-anchor:middle}.met{fill:#2da44e}.missed{fill:#cf222e}</style>`,
    `<text class="title" x="8" y="18">${escape(title)}</text>`,
    `<text class="middle" x="${fixed(line)}" y="36">target</text>`,
    ...bars.flatMap((bar, index) => barLines(bar, top + index * row)),
    `<path d="M${fixed(line)} ${top - 4}V${height - 6}" stroke="#57606a" stroke-dasharray="3 3"/>`,
    '</svg>',
  ].join('\n')}\n`;
}

function barLines({ label, part, note }: Bar, y: number): readonly string[] {
  const length = Math.min(plotWidth, Math.max(1, part * targetAt));
  const base = y + barHeight - 3;
  return [
    `<text class="end" x="${labelWidth - 8}" y="${base}">${escape(label)}</text>`,
    `<rect class="${part <= 1 ? 'met' : 'missed'}" x="${labelWidth}" y="${y}" width="${fixed(length)}" height="${barHeight}" rx="2"/>`,
    `<text x="${labelWidth + plotWidth + 8}" y="${base}">${escape(note)}</text>`,
  ];
}

function fixed(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
