/** A source file with its comments blanked and its strings taken out, line breaks kept. */
export interface MaskedSource {
  /** Code in which the string number n stands as `"§n"`, a regular expression as `/§/`. */
  readonly code: string;
  /** The contents of the strings, as written. A template with substitutions has none: its parts are left out of `code`. */
  readonly strings: readonly string[];
}

/** A `/` after one of these begins a regular expression; after anything else it divides. */
const BEFORE_REGEX = /(?:^|[([{}=:;,!&|?+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|await|yield))$/;

/**
 * Takes comments and strings out of TypeScript, so that what is left can be searched by patterns. A scanner and not a
 * parser: TypeScript 7 has no compiler API to ask. Strings, templates (nested), comments and regular expressions are told apart.
 */
export function maskSource(source: string): MaskedSource {
  const strings: string[] = [];
  let code = '';
  let at = 0;
  /** For each `${` that is open: how many braces are open inside it. */
  const substitutions: number[] = [];

  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0];
  };
  /** From behind a backquote or the `}` of a substitution, to the next substitution or the end. */
  const takeTemplatePart = (): string => take(/(?:[^`\\$]|\\[\s\S]|\$(?!\{))*/y) ?? '';

  const openTemplate = (): void => {
    at += 1;
    const part = takeTemplatePart();
    at += part.length;
    if (source[at] === '`') {
      code += `"§${strings.push(part) - 1}"${keepLines(part)}`;
      at += 1;
      return;
    }
    code += `(${keepLines(part)}`;
    at += 2;
    substitutions.push(0);
  };

  const closeSubstitution = (): void => {
    at += 1;
    const part = takeTemplatePart();
    at += part.length;
    code += keepLines(part);
    if (source[at] === '`') {
      code += ')';
      at += 1;
      substitutions.pop();
      return;
    }
    code += ',';
    at += 2;
  };

  const countBrace = (step: number): void => {
    const open = substitutions.at(-1);
    if (open !== undefined) substitutions[substitutions.length - 1] = open + step;
  };

  while (at < source.length) {
    const comment = take(/\/\/[^\n]*|\/\*[\s\S]*?\*\//y);
    const string = comment === undefined ? take(/'(?:[^'\\\n]|\\[\s\S])*'|"(?:[^"\\\n]|\\[\s\S])*"/y) : undefined;
    const regex =
      comment === undefined && source[at] === '/' && BEFORE_REGEX.test(code.trimEnd().slice(-12))
        ? take(/\/(?![*/])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y)
        : undefined;
    if (comment !== undefined) {
      code += ` ${keepLines(comment)}`;
      at += comment.length;
    } else if (string !== undefined) {
      code += `"§${strings.push(string.slice(1, -1)) - 1}"`;
      at += string.length;
    } else if (regex !== undefined) {
      code += '/§/';
      at += regex.length;
    } else if (source[at] === '`') {
      openTemplate();
    } else if (source[at] === '}' && substitutions.at(-1) === 0) {
      closeSubstitution();
    } else {
      if (source[at] === '{') countBrace(1);
      if (source[at] === '}') countBrace(-1);
      code += source[at] ?? '';
      at += 1;
    }
  }
  return { code, strings };
}

function keepLines(text: string): string {
  return text.replaceAll(/[^\n]/g, '');
}

/** The number, from 1, of the line that holds `offset`. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}
