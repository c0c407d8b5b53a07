/**
 * The same job as Ansible's users write it: copy, with owner and mode; a handler that reloads; a command that looks. It
 * logs in as `admin` and works through `become: true`, as we do. It is set up to be fast: pipelining, a connection kept
 * open between runs, no facts, and root as the user that it becomes: for another, each file would need a step more, by
 * setfacl. With mitogen nothing but the strategy differs.
 */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import type { LabServer } from "../../lab/lab.ts";
import { runCommand } from "../../lab/process.ts";
import type { PythonEnvironment } from "./environment.ts";

/**
 * How the files get there. `loop`: one `copy` for each file, from `with_fileglob`; `directory`: one `copy` of a folder,
 * which still works file by file; `archive`: one `unarchive`, which sends them together.
 */
export type Way = "loop" | "directory" | "archive";

export interface AnsibleProject {
  readonly environment: PythonEnvironment;
  readonly directory: string;
  /** The folder whose files are pushed. */
  readonly files: string;
}

const attributes = { owner: "asterisk", group: "asterisk", mode: "0640" };
const settled = { notify: "reload the dialplan" };

const copies: Record<Way, readonly object[]> = {
  loop: [
    {
      name: "Copy each file",
      "ansible.builtin.copy": { src: "{{ item }}", dest: "/etc/asterisk/", ...attributes },
      with_fileglob: "files/*.conf",
      ...settled,
    },
  ],
  directory: [
    {
      name: "Copy the folder",
      "ansible.builtin.copy": { src: "files/", dest: "/etc/asterisk/", ...attributes },
      ...settled,
    },
  ],
  archive: [
    {
      name: "Unpack an archive",
      "ansible.builtin.unarchive": { src: "files.tar.gz", dest: "/etc/asterisk/", ...attributes },
      ...settled,
    },
  ],
};

function playbook(way: Way): string {
  return stringify([
    {
      hosts: "servers",
      become: true,
      tasks: [
        ...copies[way],
        { "ansible.builtin.meta": "flush_handlers" },
        {
          name: "Look",
          "ansible.builtin.command": { argv: ["/usr/sbin/asterisk", "-rx", "dialplan show"] },
          register: "dialplan",
          when: "not ansible_check_mode",
          changed_when: false,
          failed_when: "'NoOp({{ revision }})' not in dialplan.stdout",
        },
      ],
      handlers: [
        {
          name: "reload the dialplan",
          "ansible.builtin.command": { argv: ["/usr/sbin/asterisk", "-rx", "dialplan reload"] },
        },
      ],
    },
  ]);
}

const user = "admin";

const configuration = `[defaults]
inventory = inventory.yml
gathering = explicit
forks = 20
[ssh_connection]
pipelining = True
`;

/** Writes inventory, configuration and playbooks for these servers, and lets `admin` become root there. */
export async function ansibleProject(
  environment: PythonEnvironment,
  directory: string,
  servers: readonly LabServer[],
): Promise<AnsibleProject> {
  const files = join(directory, "files");
  await mkdir(files, { recursive: true });
  const hosts = servers.map(({ name, host, sshPort, privateKeyFile }) => [
    name,
    { ansible_host: host, ansible_port: sshPort, ansible_ssh_private_key_file: privateKeyFile },
  ]);
  const knownHosts = join(directory, "known_hosts");
  const inventory = {
    servers: {
      hosts: Object.fromEntries(hosts) as object,
      vars: {
        ansible_user: user,
        ansible_python_interpreter: "/usr/bin/python3",
        ansible_ssh_common_args: `-o UserKnownHostsFile=${knownHosts} -o ControlMaster=auto -o ControlPersist=60s`,
      },
    },
  };
  await Promise.all([
    writeFile(knownHosts, servers.map((server) => server.knownHosts).join("")),
    writeFile(join(directory, "inventory.yml"), stringify(inventory)),
    writeFile(join(directory, "ansible.cfg"), configuration),
    ...servers.map(letBecomeRoot),
    ...Object.keys(copies).map((way) => writeFile(join(directory, `${way}.yml`), playbook(way as Way))),
  ]);
  return { environment, directory, files };
}

/** As most servers let their administrators: the lab's own line reaches only as far as we need. */
async function letBecomeRoot(server: LabServer): Promise<void> {
  const file = `/etc/sudoers.d/${user}`;
  const script = `echo '${user} ALL=(ALL) NOPASSWD: ALL' >${file} && chmod 0440 ${file}`;
  const { code, stderr } = await server.run(["sh", "-c", script]);
  if (code !== 0) throw new Error(`${server.name} does not let ${user} become root: ${stderr}`);
}

/**
 * Runs a playbook to its end, or with `check` only says what it would change, line by line. An archive is packed first, as
 * part of the job. Throws if it failed on any server.
 */
export async function runPlaybook(
  { environment, directory, files }: AnsibleProject,
  way: Way,
  {
    mitogen = false,
    check = false,
    revision,
  }: { readonly mitogen?: boolean; readonly check?: boolean; readonly revision: number },
): Promise<void> {
  if (way === "archive") {
    // Named one by one: the folder itself, as an entry, would give its mode to the configuration directory.
    const names = await readdir(files);
    const archive = join(directory, "files.tar.gz");
    const { code, stderr } = await runCommand(["tar", "-C", files, "-czf", archive, ...names]);
    if (code !== 0) throw new Error(`tar failed: ${stderr}`);
  }
  const strategy = {
    ANSIBLE_STRATEGY: "mitogen_linear",
    ANSIBLE_STRATEGY_PLUGINS: environment.mitogenStrategies,
  };
  const { code, stdout, stderr } = await runCommand(
    [
      environment.ansiblePlaybook,
      join(directory, `${way}.yml`),
      ...["--extra-vars", `revision=${revision}`],
      ...(check ? ["--check", "--diff"] : []),
    ],
    {
      environment: {
        ...process.env,
        ANSIBLE_CONFIG: join(directory, "ansible.cfg"),
        ANSIBLE_INVENTORY: join(directory, "inventory.yml"),
        ANSIBLE_HOME: join(directory, "home"),
        ANSIBLE_SSH_CONTROL_PATH_DIR: join(directory, "cp"),
        ANSIBLE_SSH_CONTROL_PATH: "%(directory)s/%%C",
        LC_ALL: "C.UTF-8",
        ...(mitogen ? strategy : {}),
      },
    },
  );
  if (code !== 0)
    throw new Error(`ansible-playbook exited with ${code}: ${stdout.slice(-2000)}${stderr.slice(-2000)}`);
}

/** Ends the connections that ssh keeps open between runs. */
export async function closeConnections(
  project: Pick<AnsibleProject, "directory">,
  servers: readonly LabServer[],
): Promise<void> {
  await Promise.all(
    servers.map(({ host, sshPort }) => {
      const path = `ControlPath=${join(project.directory, "cp", "%C")}`;
      return runCommand(["ssh", "-o", path, "-O", "exit", "-p", String(sshPort), `${user}@${host}`]);
    }),
  );
}
