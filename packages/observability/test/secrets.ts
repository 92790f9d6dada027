/** A generator whose rows are the same in every run. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** What must not be found, and a text that holds it. */
export interface Planted {
  readonly secret: string;
  readonly text: string;
}

/** Put together here, so that no scanner takes this file for a leak. */
export function plantedSecret(index: number, random: () => number): Planted {
  const letters = (count: number): string => Array.from({ length: count }, () => LETTERS[Math.floor(random() * LETTERS.length)]).join("");
  const secret = letters(24);
  const forms = [
    `sk-${secret}`,
    `sk-ant-${secret}`,
    `ghp_${secret}`,
    `password=${secret}`,
    `{"apiKey":"${secret}"}`,
    `postgres://app:${secret}@db.internal:5432/app`,
    `Authorization: Bearer ${secret}`,
    `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----`,
    `eyJ${secret}.${secret}.${secret}`,
    `--client-secret ${secret}`,
    `xoxb-${secret}`,
    `https://x.test/cb?access_token=${secret}&state=1`,
  ];
  return { secret, text: forms[index % forms.length] as string };
}
