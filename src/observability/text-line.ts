/**
 * A line of the log for people: `TIME LEVEL message key=value ...`.
 * @param json the line as JSON, from which nothing is left out and to which nothing is added
 */
export function textLine(json: string): string {
  const { time, level, msg, ...fields } = JSON.parse(json) as Readonly<Record<string, unknown>>;
  const shown = Object.entries(fields).map(([key, value]) => `${valueText(key)}=${valueText(value)}`);
  return `${[text(time), text(level).toUpperCase().padEnd(5), messageText(text(msg)), ...shown].filter((part) => part !== '').join(' ')}\n`;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Names, numbers and paths as they are; all else in quotes, so that one value is told from the next. */
function valueText(value: unknown): string {
  return typeof value === 'string' && /^[\w.:/@%+,*-]+$/.test(value) ? value : visible(JSON.stringify(value));
}

/** Nobody's text makes a second line or moves the cursor. */
function messageText(message: string): string {
  return visible(JSON.stringify(message).slice(1, -1).replaceAll('\\"', '"').replaceAll('\\\\', '\\'));
}

/** JSON leaves some control characters as they are. */
function visible(json: string): string {
  return json.replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
