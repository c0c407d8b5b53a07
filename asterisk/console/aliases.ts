/** `cli show aliases` prints two columns of fifty characters, and cuts what is longer (res_clialiases.c). */
const width = 50;

/**
 * Asterisk's aliases, in lower case, with the command that each stands for; undefined where it was cut. Without
 * res_clialiases there are none.
 */
export function parseAliases(output: string): Map<string, string | undefined> {
  const aliases = new Map<string, string | undefined>();
  for (const line of output.split("\n").slice(1)) {
    const name = line.slice(0, width).trim();
    const command = line.slice(width + 1).trimEnd();
    if (line.length <= width || name === "" || command === "") continue;
    aliases.set(name.toLowerCase().replace(/ +/g, " "), command.length >= width ? undefined : command);
  }
  return aliases;
}
