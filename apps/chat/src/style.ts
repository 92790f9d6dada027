import { styleText } from "node:util";

type Format = (text: string) => string;

export interface Style {
  readonly dim: Format;
  readonly bold: Format;
  readonly name: Format;
  readonly mark: Format;
  readonly warning: Format;
  readonly error: Format;
}

/** Colours, or none. */
export function createStyle(enabled: boolean): Style {
  const format = (...formats: Parameters<typeof styleText>[0][]): Format =>
    enabled ? (text) => formats.reduce<string>((styled, each) => styleText(each, styled), text) : (text) => text;
  return {
    dim: format("dim"),
    bold: format("bold"),
    name: format("cyan"),
    mark: format("green"),
    warning: format("yellow"),
    error: format("red"),
  };
}
