/** The one style sheet: no fonts, pictures or scripts from anywhere. Light or dark as the reader's system says. */
export const style = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --ok: #1a7f37; --warn: #9a6700; --bad: #cf222e; --off: #6e7781; }
@media (prefers-color-scheme: dark) { :root { --ok: #3fb950; --warn: #d29922; --bad: #f85149; --off: #8b949e; } }
* { box-sizing: border-box; }
body { overflow-wrap: anywhere; font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1rem 1.5rem 4rem; }
header { display: flex; gap: 1rem; align-items: baseline; border-bottom: 1px solid var(--line); margin-bottom: 1.5rem; }
header a { color: inherit; text-decoration: none; font-weight: 700; font-size: 1.2rem; }
header span { color: var(--off); }
h1 { font-size: 1.35rem; margin: 0 0 .25rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; } th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--off); font-size: .85rem; white-space: nowrap; } #components td:first-child { white-space: nowrap; }
code, .mono { font: 12.5px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
.state { display: inline-block; border-radius: 1rem; padding: 0 .6rem; border: 1px solid currentColor; font-weight: 600; font-size: .85rem; white-space: nowrap; }
.trusted, .pass { color: var(--ok); } .suspect, .warn, .unmeasured, .pending { color: var(--warn); }
.drifted, .quarantined, .banned, .fail { color: var(--bad); } .stale, .retired, .unknown { color: var(--off); }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; padding: 0; list-style: none; }
.tiles li { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem; min-width: 7rem; }
.tiles b { display: block; font-size: 1.6rem; line-height: 1.2; }
.tiles a { text-decoration: none; color: inherit; }
.reasons { margin: 0; padding-left: 1.1rem; } .note { color: var(--off); margin: 0 0 .5rem; }
.chain { list-style: none; margin: 0; padding: 0; }
.chain > li { position: relative; border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .9rem; margin-bottom: 1.4rem; }
.chain > li:not(:last-child)::after { content: ""; position: absolute; left: 2rem; bottom: -1.4rem; height: 1.4rem; border-left: 3px solid var(--line); }
.chain > li.broken { border-color: var(--bad); } .chain h3 { margin: 0; font-size: 1rem; display: flex; gap: .6rem; align-items: baseline; flex-wrap: wrap; }
.chain h3 small { font-weight: 400; color: var(--off); }
details summary { cursor: pointer; color: var(--off); } .digest { color: var(--off); }
.part { font-weight: 400; font-size: .85rem; color: var(--off); } .mark { color: var(--bad); font-weight: 600; }
tr.marked td { background: color-mix(in srgb, var(--bad) 10%, transparent); } tr:target td { background: var(--soft); box-shadow: inset 0 2px var(--bad), inset 0 -2px var(--bad); }
nav.pages { margin-top: .75rem; display: flex; gap: 1rem; }
`;
