import { flagsOf } from './parse.js';
import type { Program, Verb } from './verb.js';

export type Shell = 'bash' | 'zsh' | 'fish';

/** A completion script made from the verb table. */
export function completionScript(program: Program, shell: Shell): string {
  if (shell === 'fish') return fishScript(program);
  const bash = bashScript(program);
  return shell === 'zsh'
    ? `#compdef ${program.name}\nautoload -U +X bashcompinit && bashcompinit\n${bash}`
    : bash;
}

function flagNames(verb: Verb): string[] {
  return flagsOf(verb).map((flag) => `-${flag.name}`);
}

/** Completes the next word of a verb, then the verb's flags; file names where neither fits. */
function bashScript(program: Program): string {
  const handler = `_${program.name.replaceAll('-', '_')}`;
  const nextWords = new Map<string, Set<string>>();
  for (const verb of program.verbs) {
    const words = verb.name.split(' ');
    words.forEach((word, index) => {
      const before = words.slice(0, index).join(' ');
      nextWords.set(before, (nextWords.get(before) ?? new Set()).add(word));
    });
  }
  const cases = [...nextWords].map(
    ([before, words]) => `    "${before}") words="${[...words].join(' ')}" ;;`,
  );
  const flags = program.verbs.map(
    (verb) => `    "${verb.name}") words="$words ${flagNames(verb).join(' ')}" ;;`,
  );
  return `${handler}() {
  local current="\${COMP_WORDS[COMP_CWORD]}" typed="" words=""
  local index
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "\${COMP_WORDS[index]}" in -*) break ;; esac
    typed="\${typed:+$typed }\${COMP_WORDS[index]}"
  done
  case "$typed" in
${cases.join('\n')}
  esac
  case "$typed" in
${flags.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F ${handler} ${program.name}
`;
}

function fishScript(program: Program): string {
  return program.verbs
    .flatMap((verb) => {
      const words = verb.name.split(' ');
      const before = words.slice(0, -1);
      const condition =
        before.length === 0 ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${before.at(-1)}`;
      const seen = `__fish_seen_subcommand_from ${words.at(-1)}`;
      return [
        `complete -c ${program.name} -f -n '${condition}' -a '${words.at(-1)}' -d '${verb.summary.replaceAll("'", "\\'")}'`,
        ...verb.flags.map((flag) => `complete -c ${program.name} -n '${seen}' -o '${flag.name}'`),
      ];
    })
    .join('\n')
    .concat('\n');
}
