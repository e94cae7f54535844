"""How the HTML report looks, from a telephone's width on, by day and by night."""

from __future__ import annotations

from typing import Final

__all__ = ["STYLE"]

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --ok: #1a7f37; --bad: #cf222e; --maybe: #9a6700; --listed: #8250df; }
@media (prefers-color-scheme: dark) { :root { --ok: #3fb950; --bad: #ff7b72; --maybe: #d29922; --listed: #bc8cff; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 76rem; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin: 1.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: .75rem 0 .25rem; }
a { color: inherit; } small { opacity: .75; } code { overflow-wrap: anywhere; }
p, dd, summary, li, th, td { overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: 1rem; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: .5rem 1rem; } .card h2 { margin: .25rem 0; }
.counts { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
.note { border-left: 3px solid var(--maybe); padding-left: .75rem; max-width: 60rem; }
.pass { color: var(--ok); } .fail, .unexpected-pass { color: var(--bad); } .inconclusive { color: var(--maybe); }
.expected-failure { color: var(--listed); } .not-applicable { opacity: .7; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } th, td { border: 1px solid var(--line); padding: .3rem .5rem; }
th { text-align: left; font-weight: 600; vertical-align: top; } .matrix tbody th { white-space: nowrap; }
.matrix td:nth-child(n+3) { text-align: center; font-weight: 700; min-width: 3.5rem; }
.matrix td a { text-decoration: none; display: block; } .matrix td small { font-weight: 400; margin-left: .3em; }
details.case { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; padding: .35rem .7rem; }
details.case > summary { cursor: pointer; } details.case > dl, details.case > .log { color: CanvasText; }
.mark { display: inline-block; min-width: 1.6rem; font-weight: 700; }
dl { display: grid; grid-template-columns: 7rem 1fr; gap: .15rem .75rem; margin: .5rem 0; }
dt { opacity: .75; } dd { margin: 0; }
.log ol { list-style: none; margin: 0; padding: 0; font-size: .9rem; }
.log ol > li { border-top: 1px solid var(--line); padding: .2rem 0; }
.log time { opacity: .7; font-variant-numeric: tabular-nums; }
.blamed { border-left: 4px solid var(--bad); padding-left: .5rem !important; }
.tree, .tree ul { list-style: none; margin: 0; padding-left: 1.1rem; }
.tree li { position: relative; padding: .05rem 0; font-family: ui-monospace, monospace; font-size: .8rem; }
.tree ul > li::before { content: ""; position: absolute; left: -.75rem; top: 0; height: .75rem; width: .6rem;
  border-left: 1px solid var(--line); border-bottom: 1px solid var(--line); }
.tree ul > li:not(:last-child)::after { content: ""; position: absolute; left: -.75rem; top: 0; bottom: 0;
  border-left: 1px solid var(--line); }
li.pruned > span { opacity: .55; } .raw { display: block; font-size: .75rem; word-break: break-all; }
@media (max-width: 40rem) {
  body { padding: .6rem; font-size: 14px; } dl { grid-template-columns: 1fr; } dt { margin-top: .3rem; }
  .matrix thead th:nth-child(n+3) { writing-mode: vertical-rl; }
  .matrix tbody th { white-space: normal; width: 6.2rem; }
  th, td { padding: .25rem .3rem; } .matrix td:nth-child(n+3) { min-width: 2.4rem; }
}
"""
