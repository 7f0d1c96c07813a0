import type { ComponentResult } from '../../measure/appraise/contract.js';
import type { HostState, Reason } from '../model.js';
import { type Html, html } from './html.js';

/** A whole document. */
export function document(title: string, trustDomain: string, content: Html): string {
  const page = html`<html lang="en"><head><meta charset="utf-8"><title>${title} · Touchmark</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/style.css"></head>
<body><header><a href="/">Touchmark</a><span>${trustDomain}</span></header><main>${content}</main></body></html>`;
  return `<!doctype html>\n${page.markup}\n`;
}

export function badge(word: HostState | ComponentResult): Html {
  return html`<span class="state ${word}">${word}</span>`;
}

/** `2026-11-24 04:40:12 UTC`; a time that never was is a dash. */
export function moment(at: number): Html {
  if (at === 0) return html`–`;
  const iso = new Date(at).toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 19).replace('T', ' ')} UTC</time>`;
}

export function reasonList(reasons: readonly Reason[]): Html {
  if (reasons.length === 0) return html``;
  const items = reasons.map(({ code, message }) => html`<li><code>${code}</code> ${message}</li>`);
  return html`<ul class="reasons">${items}</ul>`;
}

/** The beginning of a digest, whole where the pointer rests. */
export function shortHex(hex: string, characters = 16): Html {
  if (hex.length <= characters) return html`<code class="digest">${hex}</code>`;
  return html`<code class="digest" title="${hex}">${hex.slice(0, characters)}…</code>`;
}
