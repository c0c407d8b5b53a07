import type { Host, ScriptResult } from "../../asterisk/host.ts";

/**
 * Put before a script, it kills the script's whole process group at its `at`-th step. Steps are found by counting: before
 * and after every command that touches a file, with commands for many files taken apart, and in the middle of a write.
 */
function killAt(at: number): string {
  return `
steps=0
step() { steps=$((steps + 1)); [ "$steps" -ne ${at} ] || kill -9 0; }
around() { step; command "$@" || { failed=$?; step; return "$failed"; }; step; }
for_each() {
  words=
  while :; do case $1 in mv | ln | rm | -f | -rf | -p) words="$words $1"; shift ;; --) shift; break ;; *) break ;; esac; done
  into=
  case $words in *mv* | *ln*) eval "into=\\"\\\${$#}\\"" ;; esac
  while [ $# -gt "\${into:+1}" ] 2>/dev/null || { [ -z "$into" ] && [ $# -gt 0 ]; }; do
    step
    command $words -- "$1" \${into:+"$into"} || { failed=$?; step; return "$failed"; }
    shift
  done
  step
}
mv() { for_each mv "$@"; }
rm() { for_each rm "$@"; }
ln() { case $1 in -s) command ln "$@" ;; *) for_each ln "$@" ;; esac; }
head() {
  command head -c "$(($2 / 2))" && step && command head -c "$(($2 - $2 / 2))" && step
}
tar() { around tar "$@"; }
cp() { around cp "$@"; }
mkdir() { around mkdir "$@"; }
rmdir() { around rmdir "$@"; }
chmod() { around chmod "$@"; }
chown() { around chown "$@"; }
find() { around find "$@"; }
sync() { around sync "$@"; }
sha256sum() { around sha256sum "$@"; }
true() { step; }
`;
}

/** The same host, but that one script, which dies at a step. */
export function killing(host: Host, script: string, at: number): Host {
  return intercepted(host, script, (text) => `${killAt(at)}\n${text}`);
}

/** The same host, with one script changed before it runs. */
export function intercepted(host: Host, script: string, change: (text: string) => string): Host {
  return {
    run: (text, options): Promise<ScriptResult> => host.run(text === script ? change(text) : text, options),
    connectTCP: (name, port) => host.connectTCP(name, port),
    close: () => host.close(),
    get roundTrips() {
      return host.roundTrips;
    },
  };
}
