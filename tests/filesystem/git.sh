# A repository made, used, cloned, packed and checked, in the current folder.
set -eu
export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x
export GIT_CONFIG_NOSYSTEM=1 HOME=$PWD
clean() { [ -z "$(git -C "$1" status --porcelain)" ] || { echo "not clean: $1"; exit 1; }; }
git init -q -b main one
cp -r "$root/docs" "$root/scripts" "$root/libipc" one
git -C one add .
git -C one commit -qm first
git -C one checkout -qb side
for i in 1 2 3; do
  echo "$i" >>one/docs/host.md
  git -C one commit -qam "change $i"
done
git -C one mv docs/host.md docs/moved.md
git -C one commit -qm moved
git -C one checkout -q main
echo x >one/new
git -C one add new
git -C one commit -qm new
git -C one merge -q --no-edit side
clean one
git clone -q one two                      # by hard links
git clone -q --no-local one three         # by a pack
git -C three worktree add -q ../four HEAD~1
git -C two pull -q
git -C one gc -q --prune=now
for i in one two three; do
  git -C $i fsck --strict --full
  clean $i
done
diff -r --exclude=.git one two
git -C two push -q origin main:pushed
git -C one stash list
mkdir four-files
git -C one archive --format=tar pushed | tar xf - -C four-files
diff -r --exclude=.git two four-files
