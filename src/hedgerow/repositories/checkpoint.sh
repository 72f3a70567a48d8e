# Takes down how a workspace stands: the commit that HEAD is at, the branches, the index, and every file that is not ignored.
#
# Runs in a one-shot sandbox, under sh, with nothing but git and the tools of POSIX, after workspace.sh. Its git directory `own` stays from one
# time to the next and holds an index of all files, so that files which nobody has touched are not read again, and the objects of the
# last checkpoint. It is no part of the workspace: the agent does not see it.
#
# Leaves in the result folder: `pack` (everything that the base commit does not hold), `index` (the agent's) and then `state`; or `none` where
# all is as `known` says; or `problem` (one word). After a problem `own` is made anew the next time.
workspace=$1 own=$2 result=$3 mirror=$4 base=$5 known=$6 most_bytes=$7
export GIT_AUTHOR_NAME=hedgerow GIT_AUTHOR_EMAIL=hedgerow@localhost GIT_COMMITTER_NAME=hedgerow GIT_COMMITTER_EMAIL=hedgerow@localhost
newline='
'

finish() { # marker content
    [ "$1" != problem ] || rm -rf "$own"
    printf '%s\n' "$2" >"$result/$1"
    exit
}

agents() { # arguments: runs git on the agent's repository
    git -c safe.directory='*' --git-dir="$agent_git" "$@" 2>/dev/null
}

find_refs() { # sets refs (a line for each branch, a hundred at most), and of the branch that HEAD is on branch and at
    refs='' branch='' at=''
    [ -n "$agent_git" ] || return 0
    found=$(agents for-each-ref --count=100 --format='%(HEAD)%(objectname) %(refname)' refs/heads)
    while IFS= read -r line; do
        [ -n "$line" ] || continue
        name=${line#?}
        refs="$refs${newline}ref $name"
        case $line in \**) at=${name%% *} branch=${name#* refs/heads/} ;; esac
    done <<END
$found
END
}

# Bytes are kept as they are: no line ends, no filters, whatever the attributes of the repository say.
keep_bytes() {
    [ -f "$own/info/attributes" ] || printf '* -text -eol -filter -ident -working-tree-encoding\n' >"$own/info/attributes"
}

# `agent-index` is the agent's index as it was the last time, and `index-tree` its tree.
take_agent_index() { # sets index_tree
    if [ -n "$agent_git" ] && [ -f "$agent_git/index" ] && [ ! -L "$agent_git/index" ]; then
        [ -f "$own/index-tree" ] && cmp -s "$agent_git/index" "$own/agent-index" && read -r index_tree <"$own/index-tree" && return
        rm -f "$own/index-tree"
        cp -p "$agent_git/index" "$own/agent-index" || finish problem cannot-write
        if index_tree=$(GIT_INDEX_FILE="$own/agent-index" git write-tree 2>/dev/null); then
            cp -p "$agent_git/index" "$own/agent-index" # without what git has just noted in it
            take_forced
            printf '%s\n' "$index_tree" >"$own/index-tree"
            return
        fi
    fi
    # There is none, or one in the middle of a merge: then nothing counts as staged.
    rm -f "$own/index-tree" "$own/agent-index"
    GIT_INDEX_FILE="$own/agent-index" git read-tree "$head" || finish problem cannot-read
    index_tree=$(git rev-parse "$head^{tree}")
}

# Ignored files that the agent has added all the same.
take_forced() {
    [ -f "$own/index" ] || return 0
    GIT_INDEX_FILE="$own/agent-index" git ls-files -z --cached --ignored --exclude-standard >"$own/forced"
    [ ! -s "$own/forced" ] || git update-index -z --add --remove --stdin <"$own/forced"
}

# The agent's index spares reading every file the first time, unless attributes may have made its files differ from what it holds. `cp -p`,
# because git compares the time of the index with that of the files.
begin_index() {
    [ ! -f "$own/index" ] || return 0
    git cat-file -e "$base^{commit}" || finish problem no-base
    cp -p "$own/agent-index" "$own/index" || finish problem cannot-write
    if ! attributes=$(git ls-files -- .gitattributes '*/.gitattributes') || [ -n "$attributes" ]; then
        rm -f "$own/index"
        git read-tree "$index_tree" || finish problem cannot-read
    fi
    refresh_index
}

set_state() {
    state="base $base${newline}head $head${newline}branch $branch${newline}index $index_tree${newline}worktree $tree$refs"
}

write_state() { # sets tree and state
    tree=$(git write-tree) || finish problem cannot-read
    set_state
}

finish_unless_changed() {
    [ "$state" != "$known" ] || finish none unchanged
}

pack() { # sets name; everything in one pack, which is what is kept until the next time
    rm -f "$own/objects/pack/tmp_"*
    name=$(
        ulimit -f $((most_bytes / 512 + 1))
        { printf '%s\n' "$commit" "$files" "$head" "$index_tree" "$tree" "^$base"
            [ -z "$refs" ] || printf '%s\n' "$refs" | cut -s -d' ' -f2; } |
            git pack-objects --revs --quiet "$own/objects/pack/pack"
    ) && [ -n "$name" ]
}

forget_other_objects() {
    find "$own/objects/pack" -type f ! -name "pack-$name.*" -exec rm -f {} +
    find "$own/objects" -mindepth 1 -maxdepth 1 -type d -name '[0-9a-f][0-9a-f]' -exec rm -rf {} +
}

# The ordinary case, quickly: a workspace as it is checked out, on a branch, in which nothing has changed. Its own git is at a commit of
# the files as they were, so that `status` has something to tell only where there are others.
finish_if_untouched() {
    [ -f "$own/tree" ] && [ -f "$own/index-tree" ] && read -r tree <"$own/tree" && read -r index_tree <"$own/index-tree" || return
    [ -d .git ] && [ ! -L .git ] && [ ! -e .git/commondir ] && [ ! -e .git/shallow ] || return
    [ ! -e .git/info/exclude ] && [ ! -e "$own/info/exclude" ] || return
    agent_git=$workspace/.git
    find_refs
    head=$at
    set_state
    [ -n "$branch" ] && [ "$state" = "$known" ] && cmp -s .git/index "$own/agent-index" || return
    changes=$(GIT_DIR="$own" GIT_WORK_TREE="$workspace" GIT_INDEX_FILE="$own/index" GIT_OPTIONAL_LOCKS=1 \
        git status --porcelain --no-renames --ignore-submodules=all 2>/dev/null) || return
    [ -n "$changes" ] || finish none unchanged
}

upstream() { # sets remote and merge: what the branch follows
    remote='' merge=''
    [ -n "$branch" ] && [ -n "$agent_git" ] || return 0
    remote=$(agents config --get "branch.$branch.remote" | head -n 1)
    merge=$(agents config --get "branch.$branch.merge" | head -n 1)
}

command -v git >/dev/null || finish problem no-git
cd "$workspace" 2>/dev/null || finish problem no-workspace
finish_if_untouched
find_agent_git
[ -e .git ] || [ -n "$(ls -A)" ] || finish problem emptied
make_own_git
printf '[core]\n\tuntrackedCache = true\n' >>"$own/config"
rm -f "$own/index.lock" "$own/agent-index.lock" # of a sandbox that was killed
keep_bytes
find_refs
[ -n "$head" ] && git cat-file -e "$head^{tree}" 2>/dev/null || head=$base branch=''
take_agent_index
begin_index
git add --all --ignore-errors 2>/dev/null && { write_state && finish_unless_changed; }
passes=0
while [ "$passes" -lt 8 ] && settle_borders; do passes=$((passes + 1)); done
write_state
finish_unless_changed
meta=$(printf '040000 tree %s\tindex\n040000 tree %s\tworktree\n' "$index_tree" "$tree" | git mktree) || finish problem cannot-write
commit=$(printf 'Checkpoint\n\n%s\n' "$state" | git commit-tree "$meta" -p "$head") || finish problem cannot-write
files=$(printf 'Files\n' | git commit-tree "$tree") || finish problem cannot-write
pack || { refs='' && set_state && pack; } || finish problem cannot-pack
forget_other_objects
printf '%s\n' "$files" >"$own/refs/heads/result" && printf '%s\n' "$tree" >"$own/tree" || finish problem cannot-write
cp "$own/objects/pack/pack-$name.pack" "$result/pack" && cp "$own/agent-index" "$result/index" || finish problem cannot-write
upstream
finish state "$(printf '%s\ncommit %s\nremote %s\nmerge %s\n' "$state" "$commit" "$remote" "$merge")"
