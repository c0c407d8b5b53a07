/**
 * A stand-in for FreePBX's `fwconsole` in a lab: `reload` and `chown` do to the configuration directory what FreePBX
 * does, the harmful parts included. What it would take from its database stands below `/var/lib/freepbx-lab`:
 * `generated/` holds the files that it rewrites, `links` a module and a file name on each line.
 */
export const fwconsoleScript = `#!/bin/sh
set -eu
etc=/etc/asterisk
state=/var/lib/freepbx-lab
lock=/var/run/asterisk/reload.lock

take_lock() {
  if [ -s "$lock" ] && kill -0 "$(cat "$lock")" 2>/dev/null; then
    echo "A reload is under way already" >&2
    exit 1
  fi
  echo $$ >"$lock"
  trap 'rm -f "$lock"' EXIT
}

refuse_tryinclude() {
  if grep -ls '^#tryinclude' "$etc"/*.conf; then
    echo "Unknown directive #tryinclude" >&2
    exit 1
  fi
}

# A regular file in a link's place is moved away.
link_modules() {
  while read -r module file; do
    target=/var/www/html/admin/modules/$module/etc/$file
    [ "$(readlink "$etc/$file" || true)" = "$target" ] && continue
    [ -e "$etc/$file" ] && mv "$etc/$file" "$etc/backup/$file.bk.$(date +%s)"
    ln -sf "$target" "$etc/$file"
  done <"$state/links"
}

# Truncated and written in place: through links, with the owner and mode that are there.
rewrite_generated() {
  for file in "$state/generated"/*; do
    cat "$file" >"$etc/\${file##*/}"
  done
}

# The name goes through a shell with the quotes it has: a quoted one is touched every time, a glob that matches
# nothing becomes a file of that name, and <...> is a redirection.
create_included() {
  cd "$etc"
  sed -n 's/^#include[ \\t][ \\t]*\\([^ \\t;]*\\).*/\\1/p' ./*.conf | sort -u | while read -r name; do
    [ -e "$name" ] || sh -c "touch $name" || true
  done
}

# Every secret and every section of manager.conf itself, but [general], become the GUI's own.
rewrite_manager() {
  . "$state/manager"
  sed -i -e "s/^secret *=.*/secret = $AMPMGRPASS/" -e "/^\\[general\\]/!s/^\\[.*\\]/[$AMPMGRUSER]/" "$etc/manager.conf"
}

change_owners() {
  find "$etc" /var/www/html/admin/modules -exec chown -h asterisk:asterisk {} +
}

change_modes() {
  find "$etc" -type d -exec chmod 0775 {} +
  find "$etc" -type f -exec chmod 0664 {} +
  sed -n 's/^file *= *\\([^,]*\\), *\\([0-7]*\\).*/\\1 \\2/p' "$etc/freepbx_chown.conf" | while read -r file mode; do
    chmod "$mode" "$file"
  done
}

case "\${1:-}" in
reload | r)
  take_lock
  refuse_tryinclude
  link_modules
  rewrite_generated
  create_included
  change_owners
  rewrite_manager
  asterisk -rx "core reload" >/dev/null
  echo "Reload Complete"
  ;;
chown)
  change_owners
  change_modes
  ;;
*)
  echo "usage: fwconsole reload | chown" >&2
  exit 1
  ;;
esac
`;
