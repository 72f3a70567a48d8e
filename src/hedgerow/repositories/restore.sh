# Puts a checkpoint into a workspace that has just been checked out: commits, branches, index and files as they stood.
#
# Runs in a one-shot sandbox, under sh, with nothing but git and the tools of POSIX. Nothing is touched before the objects have passed git's own
# checks and are all there. `incoming` holds `pack`, `index` where there is one, and `refs`.
#
# Leaves in the result folder: `restored` (the base commit), or `problem` (one word); then the workspace has to be made anew.
set -u
umask 022
export LC_ALL=C GIT_TERMINAL_PROMPT=0 GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
unset GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS
workspace=$1 incoming=$2 result=$3 start=$4 base=$5 head=$6 branch=$7 index_tree=$8 tree=$9
export GIT_DIR="$workspace/.git" GIT_WORK_TREE="$workspace"

finish() { # marker content
    printf '%s\n' "$2" >"$result/marker.part" && mv "$result/marker.part" "$result/$1"
    exit
}

check_objects() {
    git index-pack --strict --stdin <"$incoming/pack" >/dev/null || finish problem damaged
    git cat-file -e "$head^{commit}" && [ "$(git cat-file -t "$index_tree")" = tree ] && [ "$(git cat-file -t "$tree")" = tree ] ||
        finish problem incomplete
    { printf '%s\n' "$head" "$index_tree" "$tree"
        cut -d' ' -f1 "$incoming/refs"
        printf '^%s\n' "$start" ${base:+"$base"}; } | git rev-list --objects --quiet --stdin || finish problem incomplete
}

check_names() {
    [ -z "$branch" ] || git check-ref-format "refs/heads/$branch" || finish problem bad-names
    while read -r name ref; do
        case $ref in refs/heads/*) git check-ref-format "$ref" || finish problem bad-names ;; *) finish problem bad-names ;; esac
    done <"$incoming/refs"
}

write_refs() {
    git for-each-ref --format='delete %(refname)' refs/heads | git update-ref --stdin || return
    sed 's/^\([^ ]*\) \(.*\)$/create \2 \1/' "$incoming/refs" | git update-ref --stdin || return
    if [ -n "$branch" ]; then
        git update-ref "refs/heads/$branch" "$head" && git symbolic-ref HEAD "refs/heads/$branch"
    else
        git update-ref --no-deref HEAD "$head"
    fi
}

# Twice: the first time removes what the tree does not hold, the second writes every file in the tree's own bytes.
write_files() {
    mkdir -p "$GIT_DIR/info" && printf '* -text -eol -filter -ident -working-tree-encoding\n' >"$GIT_DIR/info/attributes" || return
    git read-tree -u --reset "$tree" && rm -f "$GIT_DIR/index" && git read-tree "$tree" && git checkout-index --all --force --quiet || return
    rm -f "$GIT_DIR/info/attributes"
}

write_index() {
    if [ -f "$incoming/index" ] && cp "$incoming/index" "$GIT_DIR/index.new" && chmod u+w "$GIT_DIR/index.new" &&
        [ "$(GIT_INDEX_FILE="$GIT_DIR/index.new" git write-tree 2>/dev/null)" = "$index_tree" ]; then
        mv "$GIT_DIR/index.new" "$GIT_DIR/index" || return
    else
        rm -f "$GIT_DIR/index.new"
        git read-tree "$index_tree" || return
    fi
    git update-index -q --refresh >/dev/null 2>&1 || :
}

command -v git >/dev/null || finish problem no-git
cd "$workspace" 2>/dev/null || finish problem no-workspace
[ -z "$base" ] || git cat-file -e "$base^{commit}" || finish problem no-base
check_objects
check_names
[ -n "$base" ] || base=$(git merge-base "$head" "$start") || base=$start
write_refs && write_files && write_index || finish problem cannot-write
finish restored "$base"
