# Commits what an agent has left in its workspace, and packs everything since the base commit into a bundle.
#
# Runs in a one-shot sandbox, under sh, with nothing but git and the tools of POSIX. The agent may have left the workspace in any state: a
# rebase, a merge, a lock file, a configuration with filters and hooks, no .git at all. So this works in a git directory of its own, which
# borrows the objects of the mirror and of the workspace, and asks the agent's git only where its HEAD is.
#
# Leaves in the result folder: `bundle` and then `head` (the commit), or `none` where nothing has changed, or `problem` (one word).
set -u
umask 022
export LC_ALL=C GIT_TERMINAL_PROMPT=0 GIT_CONFIG_NOSYSTEM=1 GIT_OPTIONAL_LOCKS=0
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS
export GIT_CONFIG_GLOBAL=/dev/null

workspace=$1 result=$2 mirror=$3 base=$4 message=$5
export GIT_AUTHOR_NAME="$6" GIT_AUTHOR_EMAIL="$7" GIT_COMMITTER_NAME="$6" GIT_COMMITTER_EMAIL="$7"
own=$result/collecting

finish() { # marker content
    rm -rf "$own" "$result/bundle.part"
    printf '%s\n' "$2" >"$result/marker.part" && mv "$result/marker.part" "$result/$1"
    exit
}

clear_result() {
    [ -d "$result" ] || exit 1
    chmod -R u+rwX "$result" 2>/dev/null
    find "$result" -mindepth 1 -maxdepth 1 -exec rm -rf {} + || exit 1
}

find_agent_git() { # sets agent_git, agent_objects and head
    agent_git='' agent_objects='' head=''
    [ -e .git ] || return 0
    agent_git=$(git -c safe.directory='*' --git-dir="$workspace/.git" rev-parse --absolute-git-dir 2>/dev/null) || return 0
    agent_objects=$(git -c safe.directory='*' --git-dir="$workspace/.git" rev-parse --path-format=absolute --git-path objects) || return 0
    head=$(git -c safe.directory='*' --git-dir="$workspace/.git" rev-parse --quiet --verify 'HEAD^{commit}' 2>/dev/null)
}

make_own_git() {
    mkdir -p "$own/objects/info" "$own/objects/pack" "$own/refs/heads" "$own/info" || finish problem cannot-write
    version=0
    [ "${#base}" -eq 64 ] && version=1 && printf '[extensions]\n\tobjectFormat = sha256\n' >"$own/config"
    printf '[core]\n\trepositoryFormatVersion = %s\n\tbare = false\n\tquotePath = false\n\tcommitGraph = false\n\tmultiPackIndex = false
\tfsmonitor = false\n\tuntrackedCache = false\n[gc]\n\tauto = 0\n[advice]\n\taddEmbeddedRepo = false\n' "$version" >>"$own/config"
    printf 'ref: refs/heads/result\n' >"$own/HEAD"
    printf '%s\n' "$mirror/objects" >"$own/objects/info/alternates"
    [ -n "$agent_objects" ] && [ -d "$agent_objects" ] && printf '%s\n' "$agent_objects" >>"$own/objects/info/alternates"
    [ -n "$agent_git" ] && [ -f "$agent_git/info/exclude" ] && cp "$agent_git/info/exclude" "$own/info/exclude"
    cat "$mirror/shallow" ${agent_git:+"$agent_git/shallow"} 2>/dev/null | sort -u >"$own/shallow"
    [ -s "$own/shallow" ] || rm -f "$own/shallow"
    export GIT_DIR="$own" GIT_WORK_TREE="$workspace" GIT_INDEX_FILE="$own/index"
}

# The agent's index spares reading every file again, and knows what it added by force or left out of a sparse checkout. `cp -p`, because
# git compares the time of the index with that of the files to see edits made within the same second.
take_index() {
    [ -n "$agent_git" ] && [ -f "$agent_git/index" ] && cp -p "$agent_git/index" "$own/index" && git ls-files >/dev/null 2>&1 && return
    rm -f "$own/index"
    git read-tree "$head" || finish problem cannot-read
}

declared() { # path: whether the workspace declares it as a submodule
    git config --file .gitmodules --get-regexp '\.path$' 2>/dev/null | cut -d' ' -f2- | grep -qxF -- "$1"
}

# A repository inside the workspace is a border that git does not cross. Taken as a work tree of its own, its files can be added.
flatten() { # path
    tree=$(cd "./$1" && export GIT_WORK_TREE="$PWD" GIT_INDEX_FILE="$own/inner" && rm -f "$own/inner" &&
        { git add --all --ignore-errors 2>/dev/null || :; } && git write-tree) || return 0
    git update-index --force-remove -- "$1"
    git read-tree --prefix="$1/" "$tree" 2>/dev/null || return 0
    git ls-files -z --cached --ignored --exclude-standard -- "./$1" | git update-index -z --force-remove --stdin
}

# Submodules stay at the commit they had, since nobody else has another one; other repositories become ordinary folders. Names that git has to quote are left out.
settle_borders() { # returns 0 while there may be more of them
    git diff-index --cached --no-renames --ignore-submodules=none "$head" | grep '^:[0-7]* 160000 ' >"$own/links"
    git ls-files --others --exclude-standard | grep '/$' >"$own/unborn"
    [ -s "$own/links" ] || [ -s "$own/unborn" ] || return 1
    settled=1
    while IFS= read -r line; do
        path=${line#*"$tab"}
        case $line in
        :160000*) printf '%s\n' "$line" | sed "s/^:160000 160000 \([0-9a-f]*\) [0-9a-f]* [A-Z]*/160000 \1/" | git update-index --index-info ;;
        *"$tab\""*) printf '0 %s\t%s\n' "$base" "$path" | git update-index --index-info ;;
        *) declared "$path" || { flatten "$path" && settled=0; } ;;
        esac
    done <"$own/links"
    while IFS= read -r path; do
        case $path in
        \"*) ;;
        *) flatten "${path%/}" && settled=0 ;;
        esac
    done <"$own/unborn"
    return "$settled"
}

commit_on() { # parent: sets commit
    commit=$(printf '%s\n' "$message" | git commit-tree "$tree" -p "$1") || finish problem cannot-commit
}

# An agent that committed on another branch and went back has worked all the same; of several such branches the latest counts.
committed_elsewhere() { # sets other
    [ -n "$agent_git" ] && [ "$head" = "$base" ] || return 1
    other=$(git -c safe.directory='*' --git-dir="$agent_git" for-each-ref --sort=-committerdate --contains="$base" \
        --format='%(objectname)' refs/heads 2>/dev/null | grep -vxF "$base" | head -n 1)
    [ -n "$other" ] && git cat-file -e "$other^{tree}" 2>/dev/null
}

pack() {
    [ "$commit" = "$base" ] && finish none unchanged
    git update-ref refs/heads/result "$commit" && git bundle create "$result/bundle.part" "$base..refs/heads/result"
}

# Everything in one commit on the base: for a history that does not come from the base, or that cannot be read.
squash() {
    [ "$tree" = "$(git rev-parse "$base^{tree}")" ] && finish none unchanged
    commit_on "$base"
    pack || finish problem cannot-pack
}

tab=$(printf '\t')
clear_result
command -v git >/dev/null || finish problem no-git
cd "$workspace" 2>/dev/null || finish problem no-workspace
find_agent_git
make_own_git
git cat-file -e "$base^{commit}" || finish problem no-base
[ -e .git ] || [ -n "$(ls -A)" ] || finish problem emptied
[ -n "$head" ] && git cat-file -e "$head^{tree}" 2>/dev/null || head=$base
take_index
git add --all --ignore-errors
passes=0
while [ "$passes" -lt 8 ] && settle_borders; do passes=$((passes + 1)); done
tree=$(git write-tree) || finish problem cannot-commit
commit=$head
if [ "$tree" != "$(git rev-parse "$head^{tree}")" ]; then
    commit_on "$head"
elif committed_elsewhere; then
    commit=$other tree=$(git rev-parse "$other^{tree}")
fi
if git merge-base --is-ancestor "$base" "$commit" 2>/dev/null; then
    pack || squash
else
    squash
fi
mv "$result/bundle.part" "$result/bundle" || finish problem cannot-write
finish head "$commit"
