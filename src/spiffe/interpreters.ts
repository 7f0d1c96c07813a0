/** Programs that run whatever file they are given, by the name of their executable without its version. */
const interpreters: ReadonlySet<string> = new Set(
  (
    'python pypy perl ruby node nodejs bun deno php lua luajit tclsh wish guile sbcl Rscript R julia java mono dotnet pwsh ' +
    'sh bash dash zsh ksh mksh fish busybox toybox awk gawk mawk sed beam.smp gdb strace env wine'
  ).split(' '),
);

/** Whether a file is an interpreter, also one that an update replaced. Told by its name, so only for people to read. */
export function isInterpreter(path: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1).replace(/ \(deleted\)$/, '');
  const plain = name.replace(/[-.]?\d[\w.+-]*$/, '');
  return (
    interpreters.has(name) ||
    interpreters.has(plain) ||
    /^(qemu-[a-z0-9_]+(-static)?|ld-(linux|musl)[-.].*)$/.test(name)
  );
}
