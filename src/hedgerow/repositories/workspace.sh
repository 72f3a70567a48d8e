# What the scripts share that look at a workspace as an agent has left it: each of them is put together from this and its own part.
#
# The agent may have left the workspace in any state: a rebase, a merge, a lock file, a configuration with filters and hooks, no .git at
# all. So the scripts work in a git directory of their own, `own`, which borrows the objects of the mirror and of the workspace, and ask
# the agent's git only where its HEAD is. They set `workspace`, `mirror`, `base` and `own`, and have a `finish marker content`.
set -u
umask 022
export LC_ALL=C GIT_TERMINAL_PROMPT=0 GIT_CONFIG_NOSYSTEM=1 GIT_OPTIONAL_LOCKS=0
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS
export GIT_CONFIG_GLOBAL=/dev/null
tab=$(printf '\t')

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
    rm -f "$own/config"
    [ "${#base}" -eq 64 ] && version=1 && printf '[extensions]\n\tobjectFormat = sha256\n' >"$own/config"
    printf '[core]\n\trepositoryFormatVersion = %s\n\tbare = false\n\tquotePath = false\n\tcommitGraph = false\n\tmultiPackIndex = false
\tfsmonitor = false\n\tuntrackedCache = false\n\tfsync = none\n[gc]\n\tauto = 0\n[advice]\n\taddEmbeddedRepo = false\n' "$version" >>"$own/config"
    printf 'ref: refs/heads/result\n' >"$own/HEAD"
    printf '%s\n' "$mirror/objects" >"$own/objects/info/alternates"
    [ -n "$agent_objects" ] && [ -d "$agent_objects" ] && printf '%s\n' "$agent_objects" >>"$own/objects/info/alternates"
    rm -f "$own/info/exclude"
    [ -n "$agent_git" ] && [ -f "$agent_git/info/exclude" ] && cp "$agent_git/info/exclude" "$own/info/exclude"
    cat "$mirror/shallow" ${agent_git:+"$agent_git/shallow"} 2>/dev/null | sort -u >"$own/shallow"
    [ -s "$own/shallow" ] || rm -f "$own/shallow"
    export GIT_DIR="$own" GIT_WORK_TREE="$workspace" GIT_INDEX_FILE="$own/index"
}

# Files whose owner or time has changed, as all have that were given to the sandbox's account, are compared. Without this `add` would write
# every one of them again, because it cannot freshen the mirror's objects.
refresh_index() {
    git update-index -q --refresh >/dev/null 2>&1 || :
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
