/** The scripts that make a machine of a root tree. POSIX sh; they run as root of the namespaces made by `unshare`. */

/**
 * Lays the machine's file system and becomes its process 1. $1 is the root tree, $2 the server's folder, $3 the host
 * name. Descriptor 0 is the lifeline (see `bootScript`), descriptor 3 the layer: a tar archive for `/`.
 *
 * The server's folder then holds `etc/asterisk` and `log`, mounted at their places in the machine, and `machine/`,
 * which takes every other change. That can't be on a file system that is an overlay itself (a container's own): there
 * the other changes stay in memory.
 */
const fileSystemScript = `
set -eu
cd "$2"
read -r pid rest </proc/self/stat
echo "$pid" >pid
mkdir -p etc log machine/lower machine/upper machine/work machine/memory machine/root
mount --bind "$1" machine/lower
cp -a machine/lower/etc/asterisk etc/
cp -a machine/lower/var/log/asterisk/. log/
chown --reference=machine/lower/var/log/asterisk log

cd machine
if ! mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root 2>/dev/null; then
  mount -t tmpfs -o mode=755 tmpfs memory
  mkdir memory/upper memory/work
  mount -t overlay overlay -o lowerdir=lower,upperdir=memory/upper,workdir=memory/work root
fi
mount --bind ../etc/asterisk root/etc/asterisk
mount --bind ../log root/var/log/asterisk
mount -t proc -o nosuid,nodev,noexec proc root/proc
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs root/run
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs root/tmp
mount -t tmpfs -o nosuid,mode=755 tmpfs root/dev
mkdir root/dev/pts root/dev/shm root/run/lock root/run/sshd root/run/asterisk
chown --reference=../log root/run/asterisk
mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=620,gid=5 devpts root/dev/pts
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs root/dev/shm
ln -s pts/ptmx root/dev/ptmx
ln -s /proc/self/fd root/dev/fd
for device in null zero full random urandom tty; do
  : >"root/dev/$device"
  mount --bind "/dev/$device" "root/dev/$device"
done
hostname "$3"

cd root
pivot_root . mnt
cd /
umount --lazy /mnt
exec /bin/sh -c "$BOOT" init
`;

/**
 * Process 1 of the machine. It starts sshd, and Asterisk as Debian's service does (again after a failure, not after a
 * stop), and ends when its lifeline does, which the kernel cuts when the parent dies in whatever way; with process 1
 * everything in the machine ends, and its mounts. A line in it lets the machine live on without its parent.
 */
const bootScript = `
unset BOOT
tar -C / -xp --numeric-owner -f - <&3
exec 3<&0 </dev/null
/usr/sbin/sshd -D -E /var/log/sshd.log 3<&- &
(cd /var/lib/asterisk; until /usr/sbin/asterisk -f -U asterisk -G asterisk >/dev/null; do sleep 1; done) 3<&- &
(read -r stay && exec sleep infinity </dev/null 3<&-) <&3 &
exec 3<&-
wait $!
`;

/** The environment of everything in a server. */
export const machineEnvironment = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
  LANG: "C.UTF-8",
};

/** The command that becomes a machine, to be started by `unshare`. */
export function machineCommand(tree: string, directory: string, hostName: string): string[] {
  const environment = Object.entries({ ...machineEnvironment, BOOT: bootScript });
  const assignments = environment.map(([name, value]) => `${name}=${value}`);
  return ["env", "-i", ...assignments, "sh", "-c", fileSystemScript, "sh", tree, directory, hostName];
}
