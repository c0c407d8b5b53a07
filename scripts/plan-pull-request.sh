#!/bin/sh
# Plans a pull request without the servers, and keeps the plan as one comment on it. For CI of any kind: it needs git, a
# checkout of the branch that the pull request is for, and asteriskctl.
#
# Nothing of the pull request is checked out or run: its commits are fetched, and asteriskctl reads them as data. So it may
# run with a token that comments, for pull requests of strangers too.
#
#   PULL_REQUEST   its number
#   BASE_BRANCH    the branch that it is for
#   HEAD_REF       where its commits are to be fetched (default: refs/pull/NUMBER/head, as GitHub, Gitea and Forgejo have it)
#   MANIFESTS      what asteriskctl gets as -f (default: the checkout)
#   ASTERISKCTL    the command (default: asteriskctl)
#   OUTPUT         where the Markdown goes (default: plan.md in a temporary directory)
#   FORGE          GitHub or Gitea, to comment; without it the Markdown is only written
#   REPOSITORY     the repository's URL there
#   API_URL        where its API is, if that can't be told from the URL
#   ASTERISKCTL_FORGE_TOKEN   what may comment; Gitea's must be allowed to say whose it is, too (read:user)
#
# Exits as `plan` does, once the comment is there.
set -eu

number=${PULL_REQUEST:?is not set}
case $number in
  *[!0-9]* | 0*) echo "PULL_REQUEST is not a number" >&2; exit 1 ;;
esac
base=${BASE_BRANCH:?is not set}
asteriskctl=${ASTERISKCTL:-asteriskctl}
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
output=${OUTPUT:-$room/plan.md}

# The commits alone: no tag, no submodule, no file. The names below are ours.
git -c core.hooksPath=/dev/null fetch --quiet --no-tags --no-recurse-submodules --no-write-fetch-head origin \
  "+${HEAD_REF:-refs/pull/$number/head}:refs/asterisk-iac/pull-request" \
  "+refs/heads/$base:refs/asterisk-iac/base"
if ! live=$(git merge-base refs/asterisk-iac/base refs/asterisk-iac/pull-request); then
  echo "the history that is here has no commit before both $base and the pull request: fetch all of it" >&2
  exit 1
fi

# The token is not for whoever reads a stranger's files.
status=0
(
  unset ASTERISKCTL_FORGE_TOKEN
  $asteriskctl -f "${MANIFESTS:-.}" --output markdown \
    plan --offline --base "$live" --head refs/asterisk-iac/pull-request
) >"$output" || status=$?

if [ -n "${FORGE:-}" ]; then
  set -- --forge "$FORGE" --repository "${REPOSITORY:?is not set}" --number "$number"
  if [ -n "${API_URL:-}" ]; then set -- "$@" --api-url "$API_URL"; fi
  $asteriskctl comment "$output" "$@"
fi
exit "$status"
