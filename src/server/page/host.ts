import type { ComponentAppraisal, ComponentReason } from '../../measure/appraise/contract.js';
import type { AppraisalRecord, EvidenceRecord, Host, HostState } from '../model.js';
import { type ChainView, chainSection } from './chain.js';
import { type Html, html } from './html.js';
import { badge, moment, reasonList, shortHex } from './layout.js';
import { reasonPlace } from './reason-place.js';

export interface HostView {
  readonly host: Host;
  readonly state: HostState;
  readonly appraisal: AppraisalRecord | undefined;
  /** Unix milliseconds, 0: none. */
  readonly lastEvidenceAt: number;
  /** What could not be read. */
  readonly note: string | undefined;
  readonly chain: ChainView;
  readonly imaEntries: number;
  /** Newest first. */
  readonly history: readonly EvidenceRecord[];
  remedyOf(code: string): string;
}

/** One host: its state and why, its components, its boot as a chain, and what it said before. */
export function hostPage(view: HostView): Html {
  const { host, state, appraisal, note, imaEntries } = view;
  return html`<h1>${host.name === '' ? host.id : host.name} ${badge(state)}</h1>
<p class="note">since ${moment(host.stateSince)}${graceOf(host)}</p>${reasonList(host.reasons)}
${note === undefined ? undefined : html`<p class="note">${note}</p>`}
<h2>Components</h2>${appraisal === undefined ? html`<p class="note">No policy applies, or no evidence came yet.</p>` : components(view, appraisal)}
<h2>Boot chain</h2>${chainSection(view.chain)}
<h2>Run-time list</h2><p><a href="/hosts/${host.id}/runtime">${imaEntries === 0 ? 'The entries' : `${imaEntries} entries`}</a> that quotes of this boot vouch for.</p>
<h2>History</h2>${history(view.history)}
<h2>Host</h2>${facts(view)}`;
}

function graceOf({ graceEndsAt }: Host): Html | undefined {
  return graceEndsAt === 0 ? undefined : html`; identities end at ${moment(graceEndsAt)} unless it recovers`;
}

function components(view: HostView, { policyName, group, at, components: judged }: AppraisalRecord): Html {
  const rows = judged.map(
    (one) => html`<tr><td>${one.component}</td><td>${badge(one.result)}</td><td>${one.checked}</td>
<td>${reasons(view, one)}</td></tr>`,
  );
  return html`<p class="note">Policy <b>${policyName}</b> of group <b>${group}</b>, evidence of ${moment(at)}</p>
<table id="components"><thead><tr><th>Component</th><th>Result</th><th>Checked</th><th>Why, and what to do</th></tr></thead><tbody>${rows}</tbody></table>`;
}

function reasons(view: HostView, { reasons: found, more }: ComponentAppraisal): Html {
  const items = found.map((reason) => reasonItem(view, reason));
  const rest = more > 0 ? html`<li>and ${more} more</li>` : undefined;
  return found.length === 0 ? html`` : html`<ul class="reasons">${items}${rest}</ul>`;
}

function reasonItem(view: HostView, reason: ComponentReason): Html {
  const { code, message, value } = reason;
  const shown = value === undefined ? undefined : html`<br><code>${value}</code>`;
  return html`<li><code>${code}</code> ${message} ${reasonPlace(view.host.id, reason)}${shown}<br><span class="note">${view.remedyOf(code)}</span></li>`;
}

function history(records: readonly EvidenceRecord[]): Html {
  if (records.length === 0) return html`<p class="note">No evidence is kept yet.</p>`;
  const rows = records.map(
    ({
      at,
      verdict,
      components: judged,
      boot,
      policyId,
    }) => html`<tr><td>${moment(at)}</td><td>${badge(verdict)}</td>
<td>${codes(judged)}</td><td><code>${boot}</code></td><td>${shortHex(policyId, 12)}</td></tr>`,
  );
  return html`<table id="history"><thead><tr><th>Evidence of</th><th>Verdict</th><th>Reasons</th><th>Boot</th><th>Policy</th></tr></thead><tbody>${rows}</tbody></table>`;
}

function codes(judged: readonly ComponentAppraisal[]): string {
  const found = judged.flatMap(({ reasons: of }) => of.map(({ code }) => code));
  return [...new Set(found)].slice(0, 6).join(', ');
}

function facts({ host, lastEvidenceAt }: HostView): Html {
  const labels = Object.entries(host.labels).map(([name, value]) => `${name}=${value}`);
  const keys = host.eks.map(
    (ek) => html`<li>${shortHex(ek.hash, 24)} ${ek.algorithm} ${ek.manufacturer} ${ek.model}</li>`,
  );
  return html`<table><tbody><tr><th>ID</th><td><code>${host.id}</code></td></tr>
<tr><th>Labels</th><td>${labels.join(', ')}</td></tr><tr><th>Endorsement keys</th><td><ul class="reasons">${keys}</ul></td></tr>
<tr><th>Enrolled</th><td>${moment(host.enrolledAt)} by ${host.enrolledBy}</td></tr>
<tr><th>Last evidence</th><td>${moment(lastEvidenceAt)}</td></tr></tbody></table>`;
}
