/**
 * What the scripts of a write share. Each gets the configuration directory as `$1` and the spool directory as `$2`, both real paths, and
 * prints words that end with NUL, the last of which says how it ended.
 *
 * The room is `<spool directory>/asterisk-iac`: `record`; `lock`; `open/<id>`, a transaction under way; `kept/<id>`, one that
 * is done. A transaction's directory holds its `manifest`, the old files (`<group>/<name>`), the new `record`, the `index` of
 * what was kept, and, from the moment at which it must be finished or undone, an empty file `intent`.
 *
 * A line of the manifest is `<group> <w|r|d> <old hash> <new hash> <size> <mode> <owner> ./<path>`, where `-` stands for
 * nothing: a file to write, to remove, or a directory to make. A group is some files of one directory. Every command works
 * there, on names: a directory is entered once, by its real path, so no link in a path is ever followed.
 */
export const COMMON = `
umask 077
root=$1 room=$2/asterisk-iac open= manifest= unlike=
out() { printf '%s\\0' "$@"; }
halt() { out "$@"; exit 0; }
fail() { [ -z "$open" ] || abandon; halt "$@"; }

# enter_room: makes it where it is missing. It must be ours alone: what lies in it is obeyed.
enter_room() {
  cd -P -- "$1" || fail failed spool "$1"
  room=$PWD/asterisk-iac
  case $room/ in "$root"/*) fail room inside "$room" ;; esac
  [ -h "$room" ] && fail room link "$room"
  [ -d "$room" ] || mkdir -m 0700 -- "$room" || [ -d "$room" ] || fail failed spool "$room"
  [ -O "$room" ] || fail room foreign "$(stat -c %U "$room")"
  [ -d "$room/open" ] && [ -d "$room/kept" ] || mkdir -p -- "$room/open" "$room/kept" || fail failed spool "$room"
}

# receive: all of standard input, before the lock is taken: a connection that hangs half way holds up nobody else.
receive() {
  set -- "$room"/input.*
  [ ! -e "$1" ] || find "$room" -maxdepth 1 -name 'input.*' -mmin +60 -exec rm -f -- {} + 2>/dev/null
  { cat >"$room/input.$$"; } || { rm -f -- "$room/input.$$"; fail failed spool "$room"; }
  exec <"$room/input.$$"
  rm -f -- "$room/input.$$"
}

# One at a time. Children keep the descriptor: what a killed shell left running ends before the next one begins.
lock() {
  if command -v flock >/dev/null; then
    { true >>"$room/lock"; } || fail failed spool "$room/lock"
    exec 9>>"$room/lock"
    flock -n 9 || flock -w 10 9 2>/dev/null || fail locked
    return
  fi
  holder=$$.$(started $$) tries=0
  until ln -s "$holder" "$room/lock.holder" 2>/dev/null; do
    other=$(readlink "$room/lock.holder")
    if [ -n "$other" ] && [ "$(started "\${other%.*}")" != "\${other#*.}" ]; then
      mv -f "$room/lock.holder" "$room/lock.dead.$$" && rm -f "$room/lock.dead.$$"
      continue
    fi
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] && [ -w "$room" ] || fail locked
    sleep 0.1
  done
  trap 'rm -f "$room/lock.holder"' EXIT
}
# The start time of a process (field 22 of /proc/PID/stat), which a later one with its number does not share.
started() {
  { IFS= read -r stat <"/proc/$1/stat"; } 2>/dev/null || return
  set -- \${stat##*) }
  printf %s "\${20}"
}

of_transaction() {
  id=$1 open=$room/open/$1 stage=./.asterisk-iac-$1
  [ ! -e "$open/manifest" ] || manifest=$(cat "$open/manifest")
}
generation_of() {
  generation=0
  [ -e "$1" ] || return 0
  generation=
  # It stands near the top, so that reading byte by byte, as shells do, takes less time than a process.
  while IFS= read -r line; do
    case $line in '  "generation": '*,) generation=\${line##* } generation=\${generation%,}; break ;; esac
  done <"$1"
  case $generation in *[!0-9]*) generation= ;; esac
}
no_intent() { for other in "$room"/open/*/intent; do [ ! -e "$other" ] || fail interrupted; done; }

# enter: the directory of a path, or none at all.
enter() {
  astray=$directory
  cd -P -- "$root/$directory" 2>/dev/null || return
  [ "$directory" = . ] && expected=$root || expected=$root/\${directory#./}
  [ "$PWD" = "$expected" ]
}
# The manifest is split without a process and without a read: dash reads one byte at a time.
newline='
'
blanks=$IFS
by_line() { IFS=$newline; set -f; }
by_word() { IFS=$blanks; set +f; }
take_apart() {
  by_word
  group=\${line%% *} line=\${line#* }
  op=\${line%% *} line=\${line#* }
  old=\${line%% *} line=\${line#* }
  new=\${line%% *} line=\${line#* }
  size=\${line%% *} line=\${line#* }
  mode=\${line%% *} line=\${line#* }
  owner=\${line%% *} path=\${line#* }
  name=\${path##*/} directory=\${path%/*}
}

# each_file ACTION [ELSE]: in the directory of each file; ELSE where that can't be entered.
each_file() {
  entered=
  by_line
  for line in $manifest; do
    take_apart
    [ "$op" != d ] || continue
    if [ "$group" != "$entered" ]; then
      entered=
      enter || { "\${2:-false}" || return; continue; }
      entered=$group
    fi
    "$1" || return
  done
  by_word
}

# each_group PICK ACTION: in each directory, with the words that PICK sets for its files.
each_group() {
  pick=$1 action=$2 entered=
  set --
  by_line
  for line in $manifest; do
    take_apart
    [ "$op" != d ] || continue
    if [ "$group" != "$entered" ]; then
      [ $# -eq 0 ] || "$action" "$@" || return
      set --
      enter || return
      entered=$group
    fi
    if "$pick"; then set -- "$@" "$word"; fi
  done
  by_word
  [ $# -eq 0 ] || "$action" "$@"
}
# Each pick names a file, or a line for sha256sum to check.
any() { word=./$name; }
written() { [ "$op" = w ] && word=$stage/$name; }
created() { written && [ "$old" = - ]; }
replaced() { [ "$op" = w ] && [ "$old" != - ] && word=./$name; }
removed() { [ "$op" = r ] && word=./$name; }
had() { [ "$old" != - ] && word=./$name; }
to_move() { written && [ -e "$word" ]; }
kept_file() { [ "$old" != - ] && word=$open/$group/$name; }
staged_hash() { [ "$op" = w ] && word="$new  $stage/$name"; }
kept_hash() { [ "$old" != - ] && word="$old  $open/$group/$name"; }
old_hash() { [ "$old" != - ] && word="$old  ./$name"; }

differs() { fail "$unequal" "$astray" "$checked"; }
check() { checked=$(printf '%s\\n' "$@" | sha256sum -c 2>/dev/null) || differs; }

# unmoved: a regular file where one must be, nothing where nothing may be.
unmoved() {
  if [ -h "./$name" ]; then fail link "$path"
  elif [ "$old" = - ]; then [ ! -e "./$name" ] || fail changed "$path" ""
  elif [ ! -e "./$name" ]; then fail changed "$path" ""
  else [ -f "./$name" ] || fail kind "$path"
  fi
}
gone_astray() { fail astray "$path"; }

# share: the very file by a second name, or where that can't be (another file system, another owner) a copy.
share() { ln -f -- "$1" "$2" 2>/dev/null || cp -p -- "$1" "$2"; }

# take SIZE: exactly so many bytes of standard input. Some kinds of head read on; for those it is all kept in a file first.
at=
take() {
  if [ -z "$at" ]; then
    at=exact
    { head -c 1 >/dev/null; IFS= read -r rest; } <<END
ab
END
    [ "$rest" = b ] || { at=0; cat >"$open/input" || return; }
  fi
  if [ "$at" = exact ]; then head -c "$1"; return; fi
  tail -c "+$((at + 1))" "$open/input" | head -c "$1"
  at=$((at + $1))
}

# abandon: as if the transaction had never begun. Its directory goes last, so that a killed one is found again.
abandon() {
  rm -f -- "$open/intent"
  find "$root" -type d \\( -name ".asterisk-iac-$id" -o -name ".asterisk-iac-$id-old" \\) -prune -exec rm -rf -- {} + 2>/dev/null
  if [ -e "$open/directories" ]; then
    set --
    while IFS= read -r path; do set -- "$path" "$@"; done <"$open/directories"
    for path do
      directory=\${path%/*}
      enter && rmdir -- "./\${path##*/}" 2>/dev/null
    done
    cd /
  fi
  rm -rf -- "$open"
}

# forward: may be run again from anywhere.
forward() { each_group to_move move && each_group removed drop && each_group any settle; }
move() { mv -f -- "$@" .; }
drop() { rm -f -- "$@"; }
settle() {
  rmdir "$stage" 2>/dev/null
  sync .
}

# restore: what was written by this transaction is put back; what is neither old nor new is somebody else's and stays.
restore() { each_file put_back left; }
put_back() {
  hash_of "./$name"
  if [ "$hash" = "$old" ] && { [ "$old" != "$new" ] || [ -e "$stage/$name" ]; }; then return
  elif [ "$hash" != "$new" ]; then left; return
  elif [ "./$name" -ef "$open/$group/$name" ]; then return
  elif [ "$old" = - ]; then rm -f -- "./$name" || return
  else
    mkdir -p "$stage-old" && share "$open/$group/$name" "$stage-old/$name" && mv -f -- "$stage-old/$name" . || return
  fi
  sync .
}
left() { out left "$path"; }
hash_of() {
  if [ -h "$1" ]; then hash=link
  elif [ -f "$1" ]; then hash=$(sha256sum <"$1") && hash=\${hash%% *} || hash=unread
  elif [ -e "$1" ]; then hash=other
  else hash=-
  fi
}

# finish: the record, then the kept bytes in their place, which ends the intent.
finish() {
  generation_of "$open/record" && next=$generation
  generation_of "$room/record"
  if [ "$generation" != "$next" ]; then
    share "$open/record" "$room/record.new" && mv -f -- "$room/record.new" "$room/record" || return
  fi
  rm -f -- "$room/record.new" "$open/input"
  sync "$room" && mv -f -- "$open" "$room/kept/" && sync "$room/kept" "$room/open"
}
`;
