# Commits what an agent has left in its workspace, and packs everything since the base commit into a bundle.
#
# Runs in a one-shot sandbox, under sh, with nothing but git and the tools of POSIX, after workspace.sh.
#
# Leaves in the result folder: `bundle` and then `head` (the commit), or `none` where nothing has changed, or `problem` (one word).
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

# The agent's index spares reading every file again, and knows what it added by force or left out of a sparse checkout. `cp -p`, because
# git compares the time of the index with that of the files to see edits made within the same second.
take_index() {
    [ -n "$agent_git" ] && [ -f "$agent_git/index" ] && cp -p "$agent_git/index" "$own/index" && git ls-files >/dev/null 2>&1 && return
    rm -f "$own/index"
    git read-tree "$head" || finish problem cannot-read
}

stage() { # sets tree
    refresh_index
    git add --all --ignore-errors
    passes=0
    while [ "$passes" -lt 8 ] && settle_borders; do passes=$((passes + 1)); done
    tree=$(git write-tree)
}

# Without the agent's index, which may name objects that are lost though their files are there.
stage_anew() { # commit: sets tree
    rm -f "$own/index"
    git read-tree "$1" && stage
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

is_base() { # whether tree is that of the base
    [ "$tree" = "$(git rev-parse "$base^{tree}")" ]
}

pack() {
    [ "$commit" = "$base" ] && finish none unchanged
    git update-ref refs/heads/result "$commit" && git bundle create "$result/bundle.part" "$base..refs/heads/result"
}

# Everything in one commit on the base: for a history that does not come from the base, or that cannot be read.
squash() {
    is_base && finish none unchanged
    commit_on "$base"
    pack
}

clear_result
command -v git >/dev/null || finish problem no-git
cd "$workspace" 2>/dev/null || finish problem no-workspace
find_agent_git
make_own_git
git cat-file -e "$base^{commit}" || finish problem no-base
[ -e .git ] || [ -n "$(ls -A)" ] || finish problem emptied
[ -n "$head" ] && git cat-file -e "$head^{tree}" 2>/dev/null || head=$base
take_index
stage || stage_anew "$head" || stage_anew "$base" || finish problem cannot-commit
commit=$head
if [ "$tree" != "$(git rev-parse "$head^{tree}")" ]; then
    commit_on "$head"
elif committed_elsewhere; then
    commit=$other tree=$(git rev-parse "$other^{tree}")
fi
# What could not be packed was a change: where the files alone show none, it is lost, and not none.
git merge-base --is-ancestor "$base" "$commit" 2>/dev/null && pack || squash || { stage_anew "$base" && ! is_base && squash; } ||
    finish problem cannot-pack
mv "$result/bundle.part" "$result/bundle" || finish problem cannot-write
finish head "$commit"
