import { COMMON } from "./transaction-shell.ts";

/**
 * `$3` id, `$4` generation, `$5` the manifest's size, `$6` `together` where tar can take the contents; standard input: the
 * manifest, an empty archive of tar, then the contents in the manifest's order as its entries. Prints
 * `record` and its text, `before` and `after` and lines of stat (size, mode, numbers and names of owner and group) in the
 * manifest's order, `kept`, how many applies are kept and their size in KiB, and `staged`.
 */
export const STAGE_SCRIPT = `${COMMON}
attributes=
cp --attributes-only --help >/dev/null 2>&1 && attributes=mode,ownership,xattr
[ -e /sys/fs/selinux/enforce ] && [ -n "$attributes" ] && attributes=$attributes,context

make_directories() {
  by_line
  for line in $manifest; do
    take_apart
    [ "$op" = d ] || continue
    enter || fail astray "$path"
    [ ! -h "./$name" ] || fail astray "$path"
    [ ! -d "./$name" ] || continue
    printf '%s\\n' "$path" >>"$open/directories"
    mkdir -- "./$name" || fail failed stage "$path"
    set -- $(stat -c '%a %u:%g' .)
    chown "$2" "./$name" 2>/dev/null
    chmod "$1" "./$name"
  done
  by_word
}
stage_file() {
  unmoved
  [ "$op" = w ] || return 0
  [ -d "$stage" ] || mkdir -m 0700 "$stage" || fail failed stage "$path"
  [ -z "$together" ] || return 0
  entry_size
  take "$word" >"$open/entries" || fail failed spool "$open"
  { tail -c +513 "$open/entries" | head -c "$size" >"$stage/$name"; } || fail failed stage "$path"
}
entry_size() { [ "$op" = w ] && word=$((512 + (size + 511) / 512 * 512)); }
# One process for all files of a directory, and not one for each.
unpack() {
  total=0
  for each do total=$((total + each)); done
  take "$total" >"$open/entries" || fail failed spool "$open"
  tar -xmof "$open/entries" -C "$stage" && return
  # Where tar says only how much it wrote, this says why.
  cat "$open/entries" >"$stage/entries"
  fail failed stage "$astray"
}
as_replaced() {
  if [ -n "$attributes" ]; then cp --attributes-only "--preserve=$attributes" -- "$@" "$stage/" || unlike=yes; return; fi
  for file do
    set -- $(stat -c '%a %u:%g' "$file")
    chown "$2" "$stage/$file" && chmod "$1" "$stage/$file" || unlike=yes
  done
}
as_directory() {
  about=$(stat -c %u:%g .)
  chown "$about" "$@" 2>/dev/null || chown ":\${about#*:}" "$@" 2>/dev/null
  chmod 0640 "$@"
}
as_asked() {
  [ "$op" = w ] || return 0
  [ "$owner" = - ] || chown "$owner" "$stage/$name" || unlike=yes
  [ "$mode" = - ] || chmod "$mode" "$stage/$name" || unlike=yes
}
about() { stat -c '%s %a %u:%g %U:%G' "$@"; }

enter_room "$2"
receive
lock
no_intent
generation_of "$room/record"
[ "$generation" = "$4" ] || fail stale "$generation"
of_transaction "$3"
mkdir -- "$open" && take "$5" >"$open/manifest" || fail failed spool "$open"
of_transaction "$3"
make_directories
together=
take 1024 >"$open/entries" || fail failed spool "$open"
[ "$6" = together ] && tar -xmof "$open/entries" 2>/dev/null && together=yes
each_file stage_file gone_astray
[ -z "$together" ] || each_group entry_size unpack || fail astray "$astray"
rm -f -- "$open/entries"
each_group replaced as_replaced && each_group created as_directory && each_file as_asked || fail astray "$astray"
unequal=torn && each_group staged_hash check || fail astray "$astray"
unequal=changed && each_group old_hash check || fail astray "$astray"
each_group written sync || fail failed stage "$astray"
record=
[ ! -e "$room/record" ] || record=$(cat "$room/record")
out record "$record"
out before "$(each_group had about)" after "$(each_group written about)"
set -- "$room"/kept/*/
size=$(du -sk "$room/kept")
out kept $# "\${size%%[!0-9]*}"
out staged "$unlike"
`;

/**
 * `$3` id, `$4` generation, `$5` and `$6` the sizes of record and index, which are its standard input. Checks once more what is
 * there, keeps it, and from the intent on goes forward, or all the way back. Prints `left` and a path for each that somebody
 * else wrote meanwhile, then `done`, or what went wrong.
 */
export const COMMIT_SCRIPT = `${COMMON}
keep() {
  mkdir -- "$open/$entered" || return
  ln -- "$@" "$open/$entered/" 2>/dev/null && return
  rm -rf -- "$open/$entered" && mkdir -- "$open/$entered" && cp -p -- "$@" "$open/$entered/"
}

enter_room "$2"
receive
of_transaction "$3"
lock
no_intent
[ -e "$open/manifest" ] || fail interrupted
generation_of "$room/record"
[ "$generation" = "$4" ] || fail stale "$generation"
take "$5" >"$open/record" && take "$6" >"$open/index" || fail failed spool "$open"
generation_of "$open/record"
[ "$generation" = $(($4 + 1)) ] || fail failed spool "$open/record"
each_file unmoved gone_astray
each_group had keep || fail failed keep "$astray"
unequal=changed
each_group kept_hash check || fail astray "$astray"
each_group kept_file sync && sync "$open"/* "$open" "$room/open" || fail failed spool "$open"

# The last look, right before the intent and the renames.
each_file unmoved gone_astray
each_group old_hash check || fail astray "$astray"
true >"$open/intent" && sync "$open" || fail failed spool "$open"
if forward; then
  finish || halt unfinished
  out done
else
  restore || halt unfinished
  fail failed commit "$astray"
fi
`;

/**
 * Ends every open transaction. Prints, for each, `left` and a path for each file that somebody else wrote meanwhile, and
 * `forward`, `restored` or `abandoned` with its id; and `done`.
 */
export const RECOVER_SCRIPT = `${COMMON}
# whole: is each file old, with the new one ready, or new?
whole() {
  hash_of "./$name"
  now=$hash
  if [ "$op" = r ]; then [ "$now" = - ] || [ "$now" = "$old" ]; return; fi
  [ "$now" = "$new" ] && return
  hash_of "$stage/$name"
  [ "$hash" = "$new" ] && [ "$now" = "$old" ]
}
[ -e "$room" ] || halt done
enter_room "$2"
lock
for open in "$room"/open/*; do
  [ -d "$open" ] || continue
  of_transaction "\${open##*/}"
  generation_of "$open/record" && next=$generation
  generation_of "$room/record"
  if [ ! -e "$open/intent" ]; then
    abandon
    out abandoned "$id"
  elif [ "$generation" = "$next" ] || { [ "$next" = $((generation + 1)) ] && each_file whole && forward; }; then
    finish || halt unfinished
    out forward "$id"
  else
    restore || halt unfinished
    abandon
    out restored "$id"
  fi
done
out done
`;

/** `$3` id: gives up a transaction that was staged and never committed. */
export const ABANDON_SCRIPT = `${COMMON}
enter_room "$2"
lock
of_transaction "$3"
[ -e "$open/intent" ] || abandon
out done
`;

/** Prints `record` and its text, and `open`, an id and `intent` or `staged` for each transaction under way. */
export const STATE_SCRIPT = `${COMMON}
[ ! -d "$2" ] || [ -x "$2" ] || fail failed spool "$2"
[ -e "$room" ] || halt done
[ -O "$room" ] || fail room foreign "$(stat -c %U "$room")"
[ ! -e "$room/record" ] || out record "$(cat "$room/record")"
for open in "$room"/open/*; do
  [ -d "$open" ] || continue
  [ -e "$open/intent" ] && word=intent || word=staged
  out open "\${open##*/}" "$word"
done
out done
`;

/** `$3` the generation that the record must have; standard input: the record to put in its place. */
export const RECORD_SCRIPT = `${COMMON}
enter_room "$2"
receive
lock
no_intent
generation_of "$room/record"
[ "$generation" = "$3" ] || fail stale "$generation"
# A connection that is cut ends the input early: half a record must never take the place of a whole one.
cat >"$room/record.new" && [ "$(tail -n 1 "$room/record.new")" = "}" ] && sync "$room/record.new" && mv -f -- "$room/record.new" "$room/record" && sync "$room" ||
  fail failed spool "$room/record"
out done
`;

/** Prints `index` and its text for each apply whose bytes are kept. */
export const LIST_KEPT_SCRIPT = `${COMMON}
[ ! -d "$2" ] || [ -x "$2" ] || fail failed spool "$2"
[ -e "$room" ] || halt done
[ -O "$room" ] || fail room foreign "$(stat -c %U "$room")"
for index in "$room"/kept/*/index; do [ ! -e "$index" ] || out index "$(cat "$index")"; done
out done
`;

/** `$3` id: its index, a NUL, and the kept files one after the other in the manifest's order. */
export const READ_KEPT_SCRIPT = `
kept=$2/asterisk-iac/kept/$3
[ -e "$kept/index" ] || exit 0
cat "$kept/index"
printf '\\0'
while IFS= read -r line; do
  group=\${line%% *} old=\${line#* * }
  [ "\${old%% *}" = - ] || cat "$kept/$group/\${line##*/}"
done <"$kept/manifest"
`;

/** `$3`, … ids: lets go of what they kept. The index goes first, so that half of one is never listed. */
export const PRUNE_SCRIPT = `${COMMON}
enter_room "$2"
lock
shift 2
for id do rm -f -- "$room/kept/$id/index" && rm -rf -- "$room/kept/$id"; done
for kept in "$room"/kept/*/; do [ -e "$kept/index" ] || rm -rf -- "$kept"; done
out done
`;
