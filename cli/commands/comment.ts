import { readFile } from "node:fs/promises";
import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { AsteriskIacError } from "../../core/errors.ts";
import type { ForgeKind } from "../../git/forges/forge.ts";
import type { Shell } from "../program.ts";

/** By which the comment is found again. */
const marker = "<!-- asterisk-iac-plan -->";
/** Of the environment: a token in arguments would be in the list of processes. */
const tokenVariable = "ASTERISKCTL_FORGE_TOKEN";

interface CommentOptions {
  readonly forge: ForgeKind;
  readonly repository: string;
  readonly number: number;
  readonly apiUrl?: string;
}

/** For CI: what `plan --output markdown` printed becomes the one comment of asteriskctl on a pull request. */
export function addCommentCommand(program: Command, shell: Shell): void {
  program
    .command("comment", { hidden: true })
    .description(
      `posts a file as a comment on a pull request, or updates it; the token is in ${tokenVariable}`,
    )
    .argument("<file>", "Markdown")
    .addOption(new Option("--forge <kind>").choices(["GitHub", "Gitea"]).makeOptionMandatory())
    .requiredOption("--repository <url>", "the repository's URL")
    .requiredOption("--number <number>", "of the pull request", wholeNumber)
    .option("--api-url <url>", "where the forge's API is (default: told from the repository's URL)")
    .action(async (file: string, { forge: kind, repository, number, apiUrl }: CommentOptions) => {
      const token = process.env[tokenVariable];
      if (token === undefined || token === "")
        throw new AsteriskIacError("SecretMissing", `${tokenVariable} is not set`, {
          hint: "Put a token there that may comment on pull requests.",
        });
      const text = await readFile(file, "utf8").catch((cause: unknown) => {
        throw new AsteriskIacError("InvalidArgument", "can't read the text", { where: { file }, cause });
      });
      // Loaded when it is wanted: the forges' libraries would slow down every other command.
      const { openForge } = await import("../../git/forges/open.ts");
      const forge = openForge({
        kind,
        repositoryURL: repository,
        token: () => Promise.resolve(token),
        ...(apiUrl === undefined ? {} : { apiURL: apiUrl }),
      });
      const outcome = await forge.comment(number, marker, text);
      shell.terminal.stderr.write(`comment on pull request ${number}: ${outcome.toLowerCase()}\n`);
    });
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is a whole number.");
}
